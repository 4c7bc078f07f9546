import torch

a = torch.tensor([7, -7, 7, -7])
b = torch.tensor([2, 2, -2, -2])
print(a // b, a % b, a / b)
print(7 // torch.tensor(2.), -7 % torch.tensor(3), 7.5 % torch.tensor([2.]))
print(torch.div(a, b, rounding_mode='trunc'), torch.div(a, b, rounding_mode='floor'))
print(torch.remainder(torch.tensor([-3., 2.5]), 2))
