import torch

torch.ones(1, 2).squeeze(2)
