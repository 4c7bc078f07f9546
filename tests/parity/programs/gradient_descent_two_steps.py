import torch

torch.manual_seed(4)
X = torch.randn(6, 2)
y = X @ torch.tensor([2., -1.]) + 0.5
w = torch.zeros(2, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
loss = torch.nn.functional.mse_loss(X @ w + b, y)
loss.backward()
with torch.no_grad():
    w -= 0.1 * w.grad
    b -= 0.1 * b.grad
    w.grad.zero_()
    b.grad.zero_()
print(f"loss {loss.item():.3f}")
loss = torch.nn.functional.mse_loss(X @ w + b, y)
loss.backward()
print(f"loss {loss.item():.3f}", w, b)
print(w.grad, b.grad)
