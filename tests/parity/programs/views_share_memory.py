import torch

x = torch.zeros(2, 2)
y = x.view(4)
y[0] = 5
x.t()[0, 1] = 7
print(x, y)
