import torch

i = torch.tensor([1, 2])
i += 1
print(i)
i += 1.5
