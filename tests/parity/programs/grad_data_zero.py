import torch

w = torch.tensor([1., 2.], requires_grad=True)
loss = (w * w).sum()
loss.backward()
w.data -= 0.1 * w.grad.data
w.grad.data.zero_()
print(w, w.grad)
