import torch

torch.clamp(torch.ones(2))
