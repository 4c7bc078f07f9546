import torch
import torch.nn.functional as F

torch.manual_seed(3)
x = torch.randn(1, 8, 7, 7)
weight = torch.randn(16, 8 * 7 * 7)
bias = torch.randn(16)
fc = F.linear(x.flatten(1), weight, bias)
conv = F.conv2d(x, weight.view(16, 8, 7, 7), bias)
print(fc.shape, conv.shape)
print((fc - conv.flatten(1)).abs().max() < 1e-4)
