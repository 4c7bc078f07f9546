import torch

v = torch.arange(3.)
m = torch.arange(6.).view(2, 3)
b = torch.arange(12.).view(2, 2, 3)
print(v @ v, m @ v, v @ m.t())
print(m @ m.t())
print(b @ m.t())
print(torch.matmul(b, v), torch.matmul(v, b.transpose(1, 2)))
print(torch.bmm(b, b.transpose(1, 2)))
print(torch.dot(v, v), torch.mv(m, v), torch.outer(v, v))
print(torch.addmm(torch.ones(2), m, m.t(), beta=2, alpha=0.5))
