import torch

x = torch.tensor(1.)
x[0]
