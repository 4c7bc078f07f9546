import torch

x = torch.zeros(0, 3, requires_grad=True)
print(x)
y = x.sum()
print(y)
y.backward()
print(x.grad, x.grad.shape)
print((x @ torch.ones(3, 2)).shape, (torch.ones(2, 0) @ torch.ones(0, 2)))
