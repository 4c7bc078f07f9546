#!/usr/bin/python3
"""Writes golden/npy/*.npy: arrays as NumPy writes them, in all versions of the format. Needs Debian's
python3-numpy.

Element i of an array, row-major, is i / 2 - 1 for floats and i - 1 for integers (of unsigned ones, i);
tests/api/test_npy.c counts on that."""
import os

import numpy

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden", "npy")


def array(dtype, shape):
    count = numpy.arange(numpy.prod(shape, dtype=int)).reshape(shape)
    kind = numpy.dtype(dtype).kind
    return (count / 2 - 1 if kind == "f" else count if kind == "u" else count - 1).astype(dtype)


def write(name, x, version=None):
    with open(os.path.join(FOLDER, name + ".npy"), "wb") as file:
        numpy.lib.format.write_array(file, x, version)


for version in 1, 2, 3:
    write(f"v{version}", array("<f4", (2, 3)), (version, 0))
for dtype in "f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1":
    write(dtype, array(dtype, (3, 2)))
write("scalar", array("<f4", ()))
write("row", array("<f4", (5,)))
write("deep", array("<f8", (1, 2, 1, 2, 1, 2, 1, 2)))
write("empty", array("<f4", (0, 3)))
write("fortran", numpy.asfortranarray(array("<f4", (2, 3))))
write("big_endian", array(">f4", (2, 3)))
write("bool", numpy.array([True, False]))
write("complex", array("<c8", (2,)))
write("record", numpy.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))
write("nine", array("<f4", (1,) * 9))
