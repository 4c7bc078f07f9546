'\ud800' '\N{DASH}' '\x1'
