import torch

x = torch.ones(2, 2, requires_grad=True)
v = torch.tensor([5., 6.], requires_grad=True)
y = x * 3
y[1] = v * 2
print(y)
y.sum().backward()
print(x.grad)
print(v.grad)
