import torch

x = torch.tensor([-1., 0., 1.], requires_grad=True)
torch.relu(x).sum().backward()
print(x.grad)
