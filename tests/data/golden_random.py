"""Golden numbers of PyTorch's CPU generator: initial parameters, rand and randn."""
import math
import zlib

import numpy
import torch

from golden_cases import linear
from golden_net import build

SMALL = 64   # elements of a parameter that is written whole
SAMPLE = 4   # first elements of one that is not


RELU = {"type": "relu"}
INITIAL = [  # seed, dtype, layers
    (0, "float32", [linear(1, 1)]),
    (0, "float64", [linear(1, 1)]),
    (1, "float32", [linear(3, 5)]),
    (2, "float32", [linear(7, 3, bias=False), RELU, linear(3, 2)]),
    (2, "float64", [linear(7, 3, bias=False), RELU, linear(3, 2)]),
    (42, "float32", [linear(5, 4), RELU, linear(4, 3), RELU, linear(3, 2)]),
    (42, "float64", [linear(5, 4), RELU, linear(4, 3), RELU, linear(3, 2)]),
    (0, "float32", [linear(64, 32), RELU, linear(32, 10)]),
    (0, "float64", [linear(64, 32), RELU, linear(32, 10)]),
    (2147483647, "float32", [linear(10, 6), RELU, linear(6, 1)]),
    (4294967296, "float32", [linear(2, 2)]),  # only a seed's low 32 bits reach mt19937
    (9007199254740991, "float64", [linear(2, 3)]),  # 2^53 - 1, the last that any JSON reader keeps
    (7, "float32", [linear(784, 128), RELU, linear(128, 10)]),
    (7, "float64", [linear(300, 100), RELU, linear(100, 50), RELU, linear(50, 1)]),
]


def fingerprint(array):
    """A tensor to be compared bit for bit: whole, or by its first values, sum and checksum."""
    little = numpy.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    golden = {"shape": list(array.shape), "crc32": zlib.crc32(little.tobytes()),
              "sum": math.fsum(array.astype(numpy.float64).ravel())}
    if array.size <= SMALL:
        return {**golden, "data": array}
    return {**golden, "first": array.ravel()[:SAMPLE]}


def initial_parameters():
    cases = []
    for number, (seed, dtype, layers) in enumerate(INITIAL):
        model = {"id": f"init-{number}", "layers": layers, "loss": "mse", "dtype": dtype,
                 "seed": seed}
        state = build(model, getattr(torch, dtype)).state_dict()
        cases.append({"model": model,
                      "parameters": {name: fingerprint(t.numpy()) for name, t in state.items()}})
    return cases


# Each entry draws its tensors one after the other from one generator: a draw of an odd number
# below 16 leaves a sine behind for the next.
SEEDS = (0, 1, 42, 4294967295)
SIZES = (1, 3, 15, 16, 17, 31, 100)
SEQUENCES = [
    (5, [("randn", 3, "float32"), ("randn", 2, "float32"), ("rand", 1, "float32"),
         ("randn", 1, "float64")]),
    (6, [("randn", 1, "float64"), ("rand", 2, "float64"), ("randn", 1, "float64"),
         ("randn", 20, "float64"), ("randn", 3, "float64")]),
    (7, [("rand", 700, "float32"), ("randn", 5, "float32")]),  # past the 624 words of one twist
]


def draw(function, n, dtype):
    values = getattr(torch, function)(n, dtype=getattr(torch, dtype)).numpy()
    return {"function": function, "n": n, "dtype": dtype, "data": values}


def random_numbers():
    single = [(seed, [(function, n, dtype)]) for seed in SEEDS for function in ("rand", "randn")
              for dtype in ("float32", "float64") for n in SIZES]
    cases = []
    for seed, draws in single + SEQUENCES:
        torch.manual_seed(seed)
        cases.append({"seed": seed, "draws": [draw(*d) for d in draws]})
    return cases
