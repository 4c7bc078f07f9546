import torch

x = torch.ones(3)
print(bool(x[0] > 0))
assert x > 0
