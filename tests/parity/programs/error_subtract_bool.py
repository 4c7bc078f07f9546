import torch

a = torch.tensor([True, False])
print(a + a)
print(a - a)
