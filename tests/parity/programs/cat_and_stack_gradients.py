import torch

a = torch.tensor([1., 2.], requires_grad=True)
b = torch.tensor([3.], requires_grad=True)
c = torch.cat([a, b, a])
(c * torch.arange(5.)).sum().backward()
print(c)
print(a.grad, b.grad)
s = torch.stack([a, a * 2], dim=1)
print(s)
print(s.grad_fn)
