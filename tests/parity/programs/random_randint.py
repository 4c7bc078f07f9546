import torch

torch.manual_seed(0)
print(torch.randint(10, (5,)))
print(torch.randint(-3, 3, (2, 4)))
