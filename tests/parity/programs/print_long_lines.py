import torch

print(torch.arange(40))
print(torch.arange(30.) / 3)
print(torch.arange(60).view(2, 30))
print(torch.linspace(-1, 1, 50))
