import torch

w = torch.tensor([1., -2.], requires_grad=True)
v = torch.zeros(2)
(w * w).sum().backward()
with torch.no_grad():
    v = 0.9 * v + w.grad
    w -= 0.1 * v
w.grad = None
(w * w).sum().backward()
with torch.no_grad():
    v.mul_(0.9).add_(w.grad)
    w.sub_(v, alpha=0.1)
print(w, v)
