import torch

x = torch.tensor([-1., 0., 0.5, 1., 2.], requires_grad=True)
y = x.clamp(0, 1)
print(y)
y.sum().backward()
print(x.grad)
z = torch.where(x > 0, x * 2, torch.zeros_like(x))
print(z)
x.grad.zero_()
z.sum().backward()
print(x.grad)
