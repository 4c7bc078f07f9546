import torch

x = torch.tensor([[1., 5., 2.], [7., 0., 7.]], requires_grad=True)
print(torch.max(x, 1))
values, indices = x.max(dim=1)
print(values, indices)
print(torch.min(x, 0).values, torch.min(x, 0).indices)
values.sum().backward()
print(x.grad)
