import torch

a = torch.ones(3, 1, requires_grad=True)
b = torch.ones(4, requires_grad=True)
c = torch.tensor(2., requires_grad=True)
((a + b) * c).sum().backward()
print(a.grad)
print(b.grad)
print(c.grad)
