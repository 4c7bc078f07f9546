import torch

a = torch.ones(2, requires_grad=True)
print(torch.ones_like(a), torch.zeros_like(a, dtype=torch.int64))
print(torch.ones_like(a, requires_grad=True))
print(a.new_zeros(2), a.clone())
