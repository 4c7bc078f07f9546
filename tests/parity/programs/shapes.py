import torch

x = torch.arange(6)
print(x.view(2, 3).shape, x.reshape(3, -1).shape, x.view(-1, 1).shape)
print(x.view(2, 3).t(), x.view(1, 6).squeeze().shape, x.unsqueeze(0).shape)
print(x.view(2, 3).permute(1, 0).shape, x.view(2, 3).transpose(0, 1).shape)
print(x.view(2, 3).flatten(), x.view(1, 2, 3).flatten(1).shape)
print(torch.ones(1, 3).expand(2, 3), torch.ones(3).expand(2, -1).shape)
print(torch.stack([x, x]).shape, torch.cat([x, x]).shape, x.view(2, 3).T.shape)
