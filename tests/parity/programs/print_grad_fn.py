import torch

x = torch.tensor([[1., 2.], [3., 4.]], requires_grad=True)
print(x)
print(x + 1)
print(x.sum())
print(x.t())
print(x.mean(dim=0))
print(x @ x)
print(x[0], x[0, 1], x[:, 1])
print(x.view(4))
print(x.double())
print((x > 2))
