import torch

x = torch.arange(6.).view(2, 3)
print(x.sum(), x.sum(0), x.sum(1), x.sum((0, 1)), x.sum(dim=1, keepdim=True))
print(x.mean(), x.mean(0), x.prod(), x.prod(1))
print(x.max(), x.min(), x.argmax(), x.argmin(1), x.amax(0))
print(x.var(), x.std(), x.var(0, unbiased=False), x.norm(), x.norm(dim=1))
print(torch.tensor([1, 2]).sum(), torch.tensor([True, True]).sum())
