import torch

torch.manual_seed(0)
print(torch.normal(0., 1., size=(3,)))
x = torch.empty(3)
x.normal_(2, 0.5)
print(x)
x.uniform_(-1, 1)
print(x)
