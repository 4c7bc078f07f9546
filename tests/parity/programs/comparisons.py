import torch

a = torch.tensor([1., 2., 3.])
b = torch.tensor([3., 2., 1.])
print(a == b, a != b, a < b, a <= b, a > b, a >= b)
print(a == 2, 2 < a, (a > 1) & (b > 1), (a > 2) | (b > 2), ~(a > 1))
print(torch.eq(a, b), torch.equal(a, a), torch.allclose(a, a + 1e-9))
print((a > 0).all(), (a > 2).any(), (a > 1).sum())
print(1 < 2 < 3, not True, 1 == 1.0, True and False or True)
