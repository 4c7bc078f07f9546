import torch

print(torch.arange(1001))
print(torch.arange(1000)[:5])
print(torch.zeros(100, 100))
print(torch.arange(2000.).view(20, 100))
print(torch.ones(1001, 2))
