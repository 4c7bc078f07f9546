import torch

print(torch.arange(3000.).view(3, 10, 100))
print(torch.zeros(7, 7, 30))
