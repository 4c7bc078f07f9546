import torch

torch.manual_seed(0)
x = torch.randn(4, 3)
y = torch.randn(4, 2)
w1 = torch.randn(3, 5, requires_grad=True)
w2 = torch.randn(5, 2, requires_grad=True)
h = torch.relu(x @ w1)
out = h @ w2
loss = ((out - y) ** 2).mean()
print(loss)
loss.backward()
print(w1.grad)
print(w2.grad)
