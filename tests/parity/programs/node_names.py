import torch

x = torch.rand(2, 2, requires_grad=True)
print((x + 1).grad_fn, (x - 1).grad_fn, (x * 2).grad_fn, (x / 2).grad_fn)
print((x ** 2).grad_fn, (2 ** x).grad_fn, (x ** x).grad_fn, (-x).grad_fn)
print((x @ x).grad_fn, x.t().grad_fn, x.T.grad_fn, x.sum().grad_fn, x.sum(0).grad_fn)
print(x.mean().grad_fn, x.mean(0).grad_fn, x.max().grad_fn, x.max(0)[0].grad_fn)
print(x.view(4).grad_fn, x.reshape(4).grad_fn, x.t().reshape(4).grad_fn, x[0].grad_fn)
print(x[:, 0].grad_fn, x[0:1].grad_fn, x[None].grad_fn, x[[0]].grad_fn)
print(x.grad_fn, (x > 1).grad_fn)
print(x.sum().grad_fn.name())
