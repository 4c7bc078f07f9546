x = -a ** -b ** ~c @ d // e % f * g / h + i - j & k ^ l | m
y = not a < b <= c != d is not e not in f or g and h if i else j
x[0], (y.z, w) = v = x[1:, ..., ::2, None, a:b:c]
x **= 1; y @= z
