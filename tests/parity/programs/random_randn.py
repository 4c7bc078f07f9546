import torch

torch.manual_seed(0)
print(torch.randn(3))
print(torch.randn(15))
print(torch.randn(16))
print(torch.randn(17))
print(torch.randn(4, 5, dtype=torch.float64))
print(torch.randn(2, dtype=torch.float64))
print(torch.randn_like(torch.ones(2)))
