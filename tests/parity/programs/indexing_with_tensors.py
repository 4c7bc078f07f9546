import torch

x = torch.arange(12.).view(3, 4)
i = torch.tensor([0, 2])
print(x[i])
print(x[:, i])
print(x[i, i])
print(x[[0, 1], [1, 2]])
print(x[x > 5])
print(x[torch.tensor([True, False, True])])
print(x[i, 1:3])
