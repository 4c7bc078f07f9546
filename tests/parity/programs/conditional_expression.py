import torch

x = torch.tensor([1., -1.])
y = x if x.sum() > 0 else -x
print(y, 1 if x[0] > 0 and x[1] < 0 else 2, x.sum() == 0 or False)
