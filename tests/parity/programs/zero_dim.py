import torch

x = torch.tensor(3., requires_grad=True)
y = x * x
print(y, y.shape, y.dim())
y.backward()
print(x.grad)
print(x.view(1), x.unsqueeze(0), x.sum(), x.max(), x.sum(0), x.expand(2))
