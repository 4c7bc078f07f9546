import torch

print(torch.tensor([-1., 10., -100.]))
print(torch.tensor([[0.5, -0.25], [100.125, 3.]]))
print(torch.tensor([1e5, 1e-5]))
print(torch.tensor([-1, 100000000000]))
print(torch.tensor([1e4, 1e3]), torch.tensor([99999.5]), torch.tensor([1e8, 1.]))
print(torch.tensor([0.1, 0.12, 0.123, 0.1234, 0.12345]))
