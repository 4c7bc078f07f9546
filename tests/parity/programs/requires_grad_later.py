import torch

x = torch.tensor([1., 2., 3.])
print(x.requires_grad)
x.requires_grad_()
print(x)
y = (x * x).sum()
y.backward()
print(x.grad)
x.requires_grad_(False)
print(x)
