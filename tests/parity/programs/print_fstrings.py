import torch

loss = torch.tensor(0.123456789)
step = 7
print(f"loss: {loss}")
print(f"loss: {loss:.4f}, step {step:3d}|{step:<5}|{step:>5}|{step:^5}|{step:05d}")
print(f"{loss.item():>10.3f} {1e-7:g} {12345.678:e} {0.5:.1%}")
print(f"{torch.tensor([1., 2.])} and {torch.Size([2, 3])}")
print(f"{loss=} {step=}")
print(f"{'text'!r} {'text':>8}")
