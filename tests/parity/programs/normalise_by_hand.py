import torch

x = torch.tensor([[1., 2., 3.], [4., 6., 8.]], requires_grad=True)
mean = x.mean(dim=1, keepdim=True)
std = x.std(dim=1, keepdim=True)
y = (x - mean) / std
print(y)
y[0, 0].backward()
print(x.grad)
