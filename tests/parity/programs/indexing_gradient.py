import torch

x = torch.arange(6.).view(2, 3).requires_grad_()
y = x[0, 1] * 2 + x[:, 2].sum() + x[torch.tensor([0, 0])].sum() + x[x > 3].prod()
print(y)
y.backward()
print(x.grad)
