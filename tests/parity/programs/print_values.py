import torch

print(1, 2.0, True, None, "text")
print([1, 2.5, "a"], (1,), (1, 2), ())
print(1e16, 1e15, 1e-5, 0.0001, 123456789.123)
print(torch.Size([2, 3]), torch.ones(2, 3).shape)
print(torch.ones(2, 3).shape[0], torch.ones(2, 3).size(), torch.ones(2, 3).size(1))
print(float('inf'), float('nan'))
print([torch.tensor(1), torch.tensor([1.])])
print()
print("a", "b", sep="-", end="!\n")
