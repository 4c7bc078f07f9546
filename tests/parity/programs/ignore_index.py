import torch
import torch.nn.functional as F

x = torch.tensor([[1., 2., 3.], [1., 1., 1.], [0., 0., 5.]], requires_grad=True)
t = torch.tensor([2, -100, 0])
print(F.cross_entropy(x, t))
print(F.cross_entropy(x, t, reduction='none'))
F.cross_entropy(x, t).backward()
print(x.grad)
print(F.cross_entropy(x, torch.tensor([1, 1, 1]), ignore_index=1))
