import torch

x = torch.arange(16.).view(1, 1, 4, 4).requires_grad_()
w = torch.ones(1, 1, 3, 3, requires_grad=True)
y = torch.nn.functional.conv2d(x, w, torch.tensor([1.]), padding=1, stride=2)
print(y)
y.sum().backward()
print(x.grad)
print(w.grad)
