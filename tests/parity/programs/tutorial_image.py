import torch

image = torch.randn(1, 64, 64, 3).view(1, 64*64*3)
w = torch.zeros(12288, 1, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
a = torch.sigmoid(torch.matmul(image, w) + b)
print(a, a.shape)
loss = torch.nn.functional.binary_cross_entropy(a, torch.ones(1, 1))
loss.backward()
print(loss)
print(w.grad.shape, b.grad)
