import torch

x = torch.ones(3, 1, requires_grad=True)
y = torch.zeros(3)
loss = torch.nn.functional.mse_loss(x, y)
print(loss)
