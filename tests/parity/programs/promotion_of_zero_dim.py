import torch

f = torch.tensor([1., 2.])
z = torch.tensor(3., dtype=torch.float64)
i = torch.tensor([1, 2])
print((f + z).dtype, (i + z).dtype, (i + torch.tensor(1.)).dtype, (z + z.float()).dtype)
print(f + z, i + z, i * torch.tensor(True), torch.tensor(1) + torch.tensor(True))
print(torch.tensor(2) * f, torch.tensor(2.5) * i)
