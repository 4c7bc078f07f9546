import torch
import torch.nn.functional as F

torch.manual_seed(0)
x = torch.randn(3, 5, requires_grad=True)
y = torch.randn(3, 5)
t = torch.tensor([1, 0, 4])
print(F.mse_loss(x, y), F.l1_loss(x, y), F.smooth_l1_loss(x, y), F.huber_loss(x, y, delta=0.5))
print(F.mse_loss(x, y, reduction='sum'), F.l1_loss(x, y, reduction='none'))
print(F.cross_entropy(x, t), F.cross_entropy(x, y.softmax(1)))
print(F.cross_entropy(x, t, label_smoothing=0.1), F.cross_entropy(x, t, ignore_index=0))
print(F.cross_entropy(x, t, weight=torch.arange(5.)), F.nll_loss(F.log_softmax(x, 1), t))
print(F.binary_cross_entropy(x.sigmoid(), y.sigmoid()))
print(F.binary_cross_entropy_with_logits(x, y.sigmoid(), pos_weight=torch.full((5,), 2.)))
