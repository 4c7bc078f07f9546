import torch

print(7 // 2, -7 // 2, 7 % 3, -7 % 3, 2 ** 10, 2 ** -1, 7 / 2)
print(7.5 // 2, -7.5 % 2, 1e3, 10 ** 15, 3 & 5, 3 | 5, 3 ^ 5, ~3)
print(abs(-3), abs(-2.5), round(2.5), round(2.675, 2), min(1, 2), max(3, 2.5))
print(int(3.9), float(3), bool(0), str(1.5) + "x", len([1, 2]))
print(True + 1, 3 if 2 > 1 else 4)
