import torch

x = torch.randn(1, 512, 7, 7)
weight = torch.randn(4096, 512, 7, 7, requires_grad=True)
bias = torch.randn(4096, requires_grad=True)
conv = torch.nn.functional.conv2d(x, weight, bias)
linear = torch.nn.functional.linear(x.flatten(1), weight.view(4096, -1), bias)
print(conv.shape, linear.shape)
print((conv.flatten(1) - linear).abs().max() < 0.01)
print(conv.grad_fn, linear.grad_fn)
