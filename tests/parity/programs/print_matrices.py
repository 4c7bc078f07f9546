import torch

print(torch.zeros(2, 3))
print(torch.eye(3))
print(torch.arange(12).reshape(3, 4))
print(torch.arange(6.).view(2, 3) / 7)
print(torch.ones(1, 1))
print(torch.zeros(2, 0))
print(torch.zeros(0, 3))
print(torch.zeros(0, dtype=torch.int64))
