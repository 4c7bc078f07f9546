import torch

x = torch.tensor([1.9, -1.9, 0.])
print(x.to(torch.int64), x.long(), x.bool(), x.double(), x.float())
print(x.to(torch.float64).dtype, torch.tensor([1]).float().dtype, x.type())
print(torch.float, torch.double, torch.long, torch.int64 == torch.long)
print(x.to(x.double()).dtype, x.type_as(torch.tensor(1)).dtype)
