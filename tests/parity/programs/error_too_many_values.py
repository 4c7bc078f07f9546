import torch

a, b = torch.ones(3)
