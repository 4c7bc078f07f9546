import torch

x = torch.ones(2); y = x + 1
print(x,
      y)
z = (x
     + y)  # goes on
print(z.sum().item() * 2 if z.sum() > 1 else 0)
print("tab\there", 'quote\'s', "a" "b")
print(x is x, x is not y, None is None)
