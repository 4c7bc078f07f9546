import torch
import torch.nn.functional as F

x = torch.linspace(-2, 2, 5, requires_grad=True)
print(F.relu(x), F.leaky_relu(x, 0.1))
print(F.gelu(x), F.gelu(x, approximate='tanh'))
print(F.silu(x), F.elu(x), F.softplus(x))
print(torch.sigmoid(x), torch.tanh(x), x.sigmoid())
print(F.softmax(x, dim=0), F.log_softmax(x, dim=0))
