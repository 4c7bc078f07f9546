import torch

x = torch.zeros(3, 3)
x[0] = 1
x[1, 1] = 5.5
x[:, 2] = torch.tensor([7., 8., 9.])
x[x > 7.5] = -1
x[torch.tensor([0, 2]), torch.tensor([1, 0])] = torch.tensor([10., 20.])
print(x)
