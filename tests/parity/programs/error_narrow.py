import torch

x = torch.arange(5)
print(x.narrow(0, 1, 3))
x.narrow(0, 3, 3)
