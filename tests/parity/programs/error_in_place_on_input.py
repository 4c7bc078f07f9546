import torch

a = torch.ones(2, 3, requires_grad=True)
b = a * 2
c = b * b
b.mul_(3)
c.sum().backward()
