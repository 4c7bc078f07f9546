import torch

x = torch.tensor([2.0, 3.0], requires_grad=True)
y = x ** 2
y.backward(torch.tensor([1.0, 0.5]), retain_graph=True)
print(x.grad)
y.sum().backward()
print(x.grad)
