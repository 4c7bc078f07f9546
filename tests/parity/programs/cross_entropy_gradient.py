import torch

input = torch.tensor([[1., 2., 3.], [3., 2., 1.]], requires_grad=True)
target = torch.tensor([0, 2])
loss = torch.nn.functional.cross_entropy(input, target)
print(loss)
print(loss.grad_fn, loss.grad_fn.next_functions)
loss.backward()
print(input.grad)
