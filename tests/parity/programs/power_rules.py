import torch

x = torch.tensor([0., 1., 2.], requires_grad=True)
n = torch.tensor([0., 2., 3.], requires_grad=True)
y = x ** n
print(y)
y.sum().backward()
print(x.grad, n.grad)
print((2 ** x), (x ** 0.5), (x ** -1))
