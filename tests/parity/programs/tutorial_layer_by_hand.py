import torch

torch.manual_seed(1)
x = torch.rand(4, 1, requires_grad=True)
w = torch.rand(4, 3, requires_grad=True)
b = torch.rand(3, 1, requires_grad=True)
y = torch.matmul(w.t(), x) + b
print(y)
y.backward(torch.ones_like(y))
print(x.grad)
print(w.grad)
print(b.grad)
z = torch.nn.functional.linear(x.detach().t(), w.detach().t(), b.detach().t())
print(z)
print((z.t() - y).abs().max().item() < 1e-6)
