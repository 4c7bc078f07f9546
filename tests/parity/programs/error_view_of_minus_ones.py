import torch

torch.ones(4).view(-1, -1)
