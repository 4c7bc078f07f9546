import torch

torch.manual_seed(0)
print(torch.rand(3))
print(torch.rand(2, 2, dtype=torch.float64))
print(torch.rand(20))
torch.manual_seed(42)
print(torch.rand(1), torch.rand(()))
print(torch.rand_like(torch.ones(2, 3)))
