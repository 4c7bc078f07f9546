import torch

z = torch.tensor([1., 2., 3.], requires_grad=True)
e = torch.exp(z - z.max())
p = e / e.sum()
print(p)
loss = -torch.log(p[2])
print(loss)
loss.backward()
print(z.grad)
