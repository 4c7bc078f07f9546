import torch

x = torch.ones(3)
y = x.sum()
y.backward()
