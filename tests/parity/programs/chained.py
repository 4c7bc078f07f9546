import torch

x = torch.arange(6.).view(2, 3).t().contiguous().view(-1).mul(2).add(1).pow(2).sum()
print(x, x.item())
