import torch

w = torch.zeros(2, requires_grad=True)
with torch.no_grad():
    w.copy_(torch.tensor([1., 2.]))
    w[0] = 9
print(w)
w.requires_grad = False
print(w)
