import torch

x = torch.tensor([1., 2.], requires_grad=True)
x.data -= 0.5
print(x)
x.data = torch.tensor([5., 6.])
print(x)
