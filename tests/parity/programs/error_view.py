import torch

x = torch.arange(6)
print(x.view(2, -1))
print(x.view(4, 2))
