import torch

a = torch.tensor([1, 2])
print(a / 0)
print(a // 0)
