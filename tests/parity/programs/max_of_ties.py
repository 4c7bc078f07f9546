import torch

x = torch.tensor([2., 2., 1.], requires_grad=True)
x.max().backward()
print(x.grad)
x.grad = None
x.amax(0).backward()
print(x.grad)
x.grad = None
x.max(0)[0].backward()
print(x.grad)
