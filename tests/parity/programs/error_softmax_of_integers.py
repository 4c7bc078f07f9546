import torch

torch.softmax(torch.tensor([1, 2]), 0)
