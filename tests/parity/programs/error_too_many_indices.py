import torch

x = torch.arange(3)
print(x[0, 0])
