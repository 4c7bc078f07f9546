f'{a b}{!r}{c:{d:{e:{f}}}}{g!x}'
