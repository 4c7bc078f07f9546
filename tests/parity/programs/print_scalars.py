import torch

print(torch.tensor(1.))
print(torch.tensor(1.5))
print(torch.tensor(3))
print(torch.tensor(True))
print(torch.tensor(1e-10))
print(torch.tensor(123456789.))
print(torch.tensor(0.1, dtype=torch.float64))
print(torch.tensor(-0.0))
