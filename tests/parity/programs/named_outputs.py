import torch

x = torch.tensor([3., 1., 2.])
a, b = torch.max(x, 0)
print(a, b)
(c, d), e = (1, 2), 3
print(c, d, e)
f = g = 4
print(f, g)
f += 1
print(f, g)
