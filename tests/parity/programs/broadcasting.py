import torch

a = torch.arange(3.).view(3, 1)
b = torch.arange(4.)
print(a + b)
print((a * b).shape, (torch.ones(2, 1, 3) + torch.ones(4, 1)).shape)
print(torch.ones(2, 3) * 5 + torch.tensor(1.))
print((torch.zeros(0, 3) + torch.ones(3)).shape, (torch.zeros(1, 3) + torch.ones(0, 1)).shape)
