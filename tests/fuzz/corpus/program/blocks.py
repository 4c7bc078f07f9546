import torch.nn.functional as F, math
from torch import nn, optim as o
with torch.no_grad():
    w -= 0.1 * w.grad
    # a comment
    with a, b: x = 1; y = 2

    w.grad = None; pass
assert x.shape == (2, 3), 'shape'
