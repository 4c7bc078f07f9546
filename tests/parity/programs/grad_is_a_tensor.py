import torch

x = torch.tensor([1., 2.], requires_grad=True)
(x * 3).sum().backward()
g = x.grad
print(g.requires_grad, g.grad_fn, g.is_leaf)
g *= 2
print(x.grad)
