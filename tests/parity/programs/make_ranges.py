import torch

print(torch.arange(5), torch.arange(1, 4), torch.arange(1, 2.5, 0.5))
print(torch.arange(0, 1, 0.3), torch.arange(5, 0, -2))
print(torch.linspace(0, 1, 5), torch.linspace(3, 10, steps=5), torch.linspace(1, 1, 1))
print(torch.arange(3, dtype=torch.float64), torch.arange(0))
