import torch

x = torch.ones(3, 3, requires_grad=True)
y = x * 2
y[0] = 0
y[:, 1] *= 5
print(y)
y.sum().backward()
print(x.grad)
