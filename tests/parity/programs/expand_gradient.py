import torch

a = torch.tensor([[1.], [2.]], requires_grad=True)
b = a.expand(2, 3)
print(b)
(b * torch.arange(6.).view(2, 3)).sum().backward()
print(a.grad)
