import torch

print(torch.cat([torch.ones(1, 2), torch.ones(2, 2)]))
print(torch.cat([torch.ones(1, 2), torch.ones(1, 3)]))
