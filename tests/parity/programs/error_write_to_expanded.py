import torch

x = torch.zeros(1, 2).expand(3, 2)
print(x + 1)
x += 1
