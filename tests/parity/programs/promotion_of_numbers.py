import torch

i = torch.tensor([1, 2, 3])
f = torch.tensor([1., 2., 3.])
d = torch.tensor([1., 2., 3.], dtype=torch.float64)
b = torch.tensor([True, False, True])
print((i + 1).dtype, (i + 1.5).dtype, (i / 2).dtype, (i // 2).dtype, (i ** 2).dtype)
print((f + 1).dtype, (f + True).dtype, (d * 2).dtype)
print((b + 1).dtype, (b + 1.5).dtype, (b + True).dtype)
print(i + 1, i + 1.5, i / 2, i // 2)
print(b + 1, b * 2.5, b + b, b * b)
