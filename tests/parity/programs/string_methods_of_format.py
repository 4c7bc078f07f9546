import torch

x = torch.tensor([1.23456, 2.])
print(f"{x[0]:.2f} {x[0].item():8.3f} {x.sum():.3e} {x.mean().item()!r}")
print(f"{3:>4}{4:<4}|{True} {None} {'a':*^5} {1234567:,} {255:x} {255:#b} {-5:+d} {5:+d}")
width = 10
print(f"{3.14159:{width}.2f}|{{}}")
