import torch

x = torch.ones(2, requires_grad=True)
y = (x * 2).sum()
print(y.grad_fn.next_functions[0][0])
print(y.grad_fn.next_functions[0][0].next_functions[0][0])
print(len((x + x).grad_fn.next_functions))
