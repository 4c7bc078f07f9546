import torch

w = torch.tensor([7.], requires_grad=True)
x = torch.arange(4, dtype=torch.float64)
y = w * x
print(y)
y.sum().backward()
print(w.grad, w.grad.dtype)
