import torch

x = torch.tensor([1., 2., 3.], requires_grad=True)
d = x.detach()
d[0] = 10
print(x)
print(d)
