import torch

x = torch.arange(0., 5.)
y = 10 * x + 4
w = torch.tensor([7.0], requires_grad=True)
b = torch.tensor([6.0], requires_grad=True)
lr = 0.01
h = w * x + b
loss = (0.5 * (h - y) ** 2).sum()
print(loss.item())
loss.backward()
print(w.grad, b.grad)
with torch.no_grad():
    w -= lr * w.grad
    b -= lr * b.grad
w.grad.zero_()
b.grad.zero_()
print(w, b)
print(w.grad, b.grad)
loss = (0.5 * (w * x + b - y) ** 2).sum()
print(f"{loss.item():.4f}", loss)
