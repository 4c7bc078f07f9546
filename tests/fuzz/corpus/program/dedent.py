with a:
    x
  y
