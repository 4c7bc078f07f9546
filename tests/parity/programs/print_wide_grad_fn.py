import torch

x = torch.linspace(0, 1, 9, requires_grad=True)
print(x * 1e-6)
print((x * 1e6).view(3, 3))
print(x.exp().view(3, 3).sum(0))
print(torch.zeros(3, 0, requires_grad=True))
print([x[0], x[1]])
