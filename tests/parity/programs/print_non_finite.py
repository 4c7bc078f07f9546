import torch

print(torch.tensor([1.5, float('nan'), float('inf')]))
print(torch.tensor([float('-inf'), 2.]))
print(torch.tensor(float('nan')))
print(torch.tensor([float('inf')]))
print(torch.tensor([1., 0.]) / torch.tensor([0., 0.]))
