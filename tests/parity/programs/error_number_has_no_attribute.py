import torch

lr = 0.1
lr.backward()
