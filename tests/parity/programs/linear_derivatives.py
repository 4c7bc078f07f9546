import torch

torch.manual_seed(2)
x = torch.randn(2, 3, requires_grad=True)
w = torch.randn(4, 3, requires_grad=True)
b = torch.randn(4, requires_grad=True)
y = torch.nn.functional.linear(x, w, b)
print(y)
y.sum().backward()
print(x.grad)
print(w.grad)
print(b.grad)
print(torch.allclose(y, x @ w.t() + b))
