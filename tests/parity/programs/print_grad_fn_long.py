import torch

x = torch.linspace(0, 1, 12, requires_grad=True)
print(x)
print(x * 1000)
print((x * 2).view(2, 6))
print(x.double() + 1)
