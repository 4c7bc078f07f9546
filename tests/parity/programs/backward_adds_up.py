import torch

x = torch.tensor([1., 2.], requires_grad=True)
(x ** 2).sum().backward()
print(x.grad)
(x ** 3).sum().backward()
print(x.grad)
x.grad = None
print(x.grad)
(2 * x).sum().backward()
print(x.grad)
