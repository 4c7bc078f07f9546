import torch

x = torch.ones(3)
print(x[torch.tensor([0, -3])])
x[torch.tensor([0, 3])]
