with a:
	x
        y
