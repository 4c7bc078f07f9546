import torch

print(torch.rand(2))
print(torch.randn(3))
