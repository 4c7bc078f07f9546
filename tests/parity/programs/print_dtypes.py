import torch

print(torch.tensor([1., 2.], dtype=torch.float64))
print(torch.tensor([1, 2], dtype=torch.float32))
print(torch.tensor([1, 2]).double())
print(torch.tensor([1.7, -2.7]).long())
print(torch.tensor([0., 2.]).bool())
print(torch.ones(2, dtype=torch.bool))
print(torch.tensor([1., 2.], dtype=torch.float64, requires_grad=True))
print(torch.float32, torch.tensor(1).dtype, torch.tensor([1.]).dtype)
