import torch

w = torch.ones(2, 2, requires_grad=True)
b = torch.ones(2, requires_grad=False)
out = (torch.ones(1, 2) @ w + b).sum()
out.backward()
print(w.grad)
print(b.grad)
print(b.requires_grad, w.requires_grad)
