import torch

x = torch.log_softmax(torch.ones(2, 3), 1)
torch.nn.functional.nll_loss(x, torch.tensor([[0], [1]]))
