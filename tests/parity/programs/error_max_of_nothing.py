import torch

x = torch.zeros(0)
print(x.sum(), x.prod(), x.mean())
print(x.max())
