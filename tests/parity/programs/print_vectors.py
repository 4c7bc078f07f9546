import torch

print(torch.tensor([1., 2., 3.]))
print(torch.tensor([1.5, 2.25, -3.125]))
print(torch.tensor([1, 20, -300]))
print(torch.tensor([True, False]))
print(torch.tensor([0.00001, 1.]))
print(torch.tensor([1e10, 1.]))
print(torch.tensor([1e-8, 2e-8]))
print(torch.tensor([100000., 0.5]))
print(torch.tensor([1234.5678, 0.001]))
print(torch.tensor([]))
