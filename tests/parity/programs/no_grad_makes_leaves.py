import torch

x = torch.ones(2, requires_grad=True)
with torch.no_grad():
    y = x * 2
    z = torch.ones(2, requires_grad=True)
y.requires_grad_()
print(y, z)
print(y.is_leaf, y.grad_fn)
