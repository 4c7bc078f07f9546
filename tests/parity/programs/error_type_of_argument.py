import torch

print(torch.sum("text"))
