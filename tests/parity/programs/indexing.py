import torch

x = torch.arange(24).view(2, 3, 4)
print(x[0])
print(x[1, 2])
print(x[1, 2, 3])
print(x[..., 0])
print(x[:, 1:3, ::2])
print(x[-1, :, -2:])
print(x[0][1][2])
print(x[None].shape, x[:, None].shape, x[..., None].shape)
