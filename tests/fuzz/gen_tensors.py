#!/usr/bin/python3
"""Writes corpus/tensors/: small files of arrays and tables, good and bad, for fuzz_tensors.c to start
from. Needs Debian's python3-numpy."""
import io
import json
import os
import struct

import numpy

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", "tensors")


def write(name, data):
    with open(os.path.join(FOLDER, name), "wb") as file:
        file.write(data)


def npy(array, version=None):
    file = io.BytesIO()
    numpy.lib.format.write_array(file, array, version)
    return file.getvalue()


def safetensors(head, data=b""):
    text = head if isinstance(head, str) else json.dumps(head)
    return struct.pack("<Q", len(text)) + text.encode() + data


def entry(dtype, shape, first, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, end]}


os.makedirs(FOLDER, exist_ok=True)
x = numpy.array([[1.5, -2, numpy.inf], [0, 6e4, numpy.nan]])
write("f8.npy", npy(x))
write("f4_v2.npy", npy(x.astype("<f4"), (2, 0)))
write("f2_fortran.npy", npy(numpy.asfortranarray(x.astype("<f2"))))
write("u8.npy", npy(numpy.array([0, 2**64 - 1], dtype="<u8")))
write("scalar.npy", npy(numpy.array(3, dtype="<i8")))
write("empty.npy", npy(numpy.zeros((0, 4), dtype="<f4")))
write("big_endian.npy", npy(x.astype(">f4")))
write("cut.npy", npy(x)[:-1])
write("two.safetensors", safetensors(
    {"__metadata__": {"steps": "2", "format": "pt"}, "inputs": entry("F32", [2, 3], 0, 24),
     "targets": entry("I64", [2], 24, 40)}, x.astype("<f4").tobytes() + bytes(16)))
write("halves.safetensors", safetensors(
    {"a": entry("F16", [2], 0, 4), "b": entry("BF16", [], 4, 6), "c": entry("BOOL", [1], 6, 7)},
    bytes.fromhex("003c007cc03f01")))
write("hole.safetensors", safetensors({"a": entry("U8", [1], 1, 2)}, b"12"))
write("overflow.safetensors", safetensors({"a": entry("F32", [2**62 + 1], 0, 4)}, bytes(4)))
write("none.safetensors", safetensors("{}"))
write("long.safetensors", struct.pack("<Q", 2**63) + b"{}")
write("header.csv", b'a,"b,c"\r\n1,2.5\r\n"3",-4e-2\r\n')
write("mark.csv", b"\xef\xbb\xbf1,2\n3,4")
write("ragged.csv", b"1,2\n3\n")
write("quote.csv", b'1,2\n3,"4')
