import torch

x = torch.tensor([3., 4.], requires_grad=True)
n = x.norm()
print(n)
n.backward()
print(x.grad)
x.grad = None
x.std().backward()
print(x.grad)
x.grad = None
x.prod().backward()
print(x.grad)
