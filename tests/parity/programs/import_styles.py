import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import nn

print(F.relu(torch.tensor([-1., 1.])), nn.functional.relu(torch.tensor([-2., 2.])))
