import torch

x = torch.ones(3)
print(x.expand(2, 3))
print(x.expand(2, 4))
