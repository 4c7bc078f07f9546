import torch

x = torch.ones(2)
assert x.sum() == 2
assert x.sum() == 3, "the sum is wrong"
