import torch

print(torch.is_grad_enabled())
x = torch.ones(1, requires_grad=True)
with torch.set_grad_enabled(False):
    y = x * 2
    print(torch.is_grad_enabled())
print(y.requires_grad, torch.is_grad_enabled(), torch.is_tensor(x))
