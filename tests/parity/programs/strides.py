import torch

x = torch.arange(6).view(2, 3)
print(x.stride(), x.t().stride(), x.is_contiguous(), x.t().is_contiguous())
print(x.t().contiguous().stride(), x[:, 1].stride(), x.expand(4, 2, 3).stride())
