import torch

print(torch.arange(8).view(2, 2, 2))
print(torch.arange(16.).view(2, 2, 2, 2))
print(torch.zeros(1, 2, 1, 3))
