import torch

x = torch.zeros(2, requires_grad=True)
x.norm().backward()
print(x.grad)
y = torch.zeros(2, requires_grad=True)
y.sqrt().sum().backward()
print(y.grad)
z = torch.zeros(2, requires_grad=True)
z.abs().sum().backward()
print(z.grad)
