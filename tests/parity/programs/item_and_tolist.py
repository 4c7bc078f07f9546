import torch

x = torch.tensor([[1., 2.5], [3., 4.]])
print(x.tolist())
print(x[0, 1].item())
print(torch.tensor(3).item(), torch.tensor(True).item(), torch.tensor(0.1).item())
print(torch.tensor([1, 2]).tolist(), torch.tensor(1.5).tolist())
print(float(x[0, 1]), int(x[1, 0]), bool(torch.tensor(0.)))
print(len(x), x.dim(), x.numel(), x.ndim)
