import torch

print(torch.zeros(2), torch.ones(1, 2), torch.zeros((2, 1)), torch.ones([2]))
print(torch.full((2, 2), 7), torch.full((2,), 0.5), torch.full((1,), True))
print(torch.eye(2), torch.eye(2, 3))
print(torch.zeros_like(torch.ones(2, dtype=torch.float64)), torch.full_like(torch.ones(2), 3))
print(torch.tensor(1), torch.tensor([1, 2.]), torch.tensor([[True], [False]]))
print(torch.zeros(()), torch.ones(2, dtype=torch.int64))
