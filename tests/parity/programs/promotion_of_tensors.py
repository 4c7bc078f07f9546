import torch

i = torch.tensor([1, 2, 3])
f = torch.tensor([1., 2., 3.])
d = torch.tensor([1., 2., 3.], dtype=torch.float64)
b = torch.tensor([True, False, True])
print((i + f).dtype, (f + d).dtype, (i + d).dtype, (b + i).dtype, (b * f).dtype)
print(i * f, f - d, i / i, b + i)
print(torch.maximum(i, f), torch.where(b, i, f))
print(torch.cat([i, f]), torch.stack([f, d]))
