import torch

print("a" + 1)
