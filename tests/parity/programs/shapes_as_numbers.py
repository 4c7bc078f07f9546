import torch

x = torch.ones(2, 3, 4)
n, m, k = x.shape
print(n * m * k, x.shape[-1], x.size(0), x.shape[1:], len(x.shape))
print(x.view(n, -1).shape, x.shape == (2, 3, 4), x.numel())
print(x.shape == torch.Size([2, 3, 4]), tuple(x.shape), list(x.shape))
