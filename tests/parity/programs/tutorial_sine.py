import torch

a = torch.linspace(0., 2. * torch.pi, steps=25, requires_grad=True)
print(a)
b = torch.sin(a)
print(b)
c = 2 * b
print(c)
d = c + 1
print(d)
out = d.sum()
print(f"{out.item():.4f}")
out.backward()
print(a.grad)
