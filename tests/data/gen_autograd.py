#!/usr/bin/python3 -B
"""Writes golden/autograd-*.json: programs for POST /autograd and PyTorch's answers to them, for
tests that run without it. README.md beside this file describes the format.

Needs Debian's python3-torch and python3-scipy. The programs are those of tests/parity: its
programs/, and of PyTorch's sample inputs the smallest few of every op that is asked for.
"""
import os
import re
import sys
import warnings

# Before the imports: as gen_golden.py.
os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", OPENBLAS_CORETYPE="Haswell",
                  ATEN_CPU_CAPABILITY="avx2")

import numpy
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "parity"))

import expressions
import samples
from case import DTYPES, real, run
from compare import tolerance_of
from golden_json import write_json
from scripts import scripts

GOLDEN = os.path.join(HERE, "golden")
# Of an op: how many cases of a form and type, and how many numbers each may have.
FEW = {("function", torch.float64): 6, ("function", torch.float32): 1,
       ("function", torch.int64): 1, ("function", torch.bool): 1, ("operator", torch.float64): 1,
       ("in place", torch.float64): 1, ("method", torch.float64): 1}
NUMBERS_MAX = 130
RANDOM_PROGRAMS = 40
# What gradd does not do as PyTorch yet, by the names of the cases: make parity shows it, make test
# leaves it out. Each goes from here when it works.
OPEN = re.compile("|".join([
    "(squeeze|unsqueeze|transpose|t), in place",
    "nn.functional.conv2d, function, int64",
    "random 25$",  # argmax of bool, where the dim is 1
]))
NUMPY = {"bool": numpy.bool_, "int64": numpy.int64, "float32": numpy.float32,
         "float64": numpy.float64}


def array(data, dtype):
    """The flat numbers, which golden_json writes as the shortest that read back."""
    return numpy.array([real(x) for x in data], dtype=NUMPY[dtype])


def compact(value):
    """A returned value, or a named tensor."""
    if not isinstance(value, dict):
        return value
    return value | {"data": array(value["data"], value["dtype"])}


def golden_case(name, case, want):
    """What is not there is not compared but for stdout, which then must be empty."""
    request = case.request()
    if "tensors" in request:
        request["tensors"] = {n: compact(t) for n, t in request["tensors"].items()}
    golden = {"name": name, "request": request}
    if want["stdout"]:
        golden["stdout"] = want["stdout"]
    if want["error"]:
        return golden | {"error": {k: want["error"][k] for k in ("message", "line")}}
    if case.returns:
        relative, share = tolerance_of(case, want)
        golden["tolerance"] = {"relative": relative, "share": share}
        golden["values"] = {n: compact(v) for n, v in want["values"].items()}
        golden["graph"] = want["graph"]
    return golden


def without_open(goldens):
    return [golden for golden in goldens if not OPEN.match(golden["name"])]


def size_of(case, want):
    return sum(t.numel() for t in case.tensors.values()) + \
        sum(len(v["data"]) for v in want["values"].values() if isinstance(v, dict))


def spread(items, count):
    """count of them, from first to last."""
    if len(items) <= count:
        return items
    return [items[i * (len(items) - 1) // max(count - 1, 1)] for i in range(count)]


def cases_of(op):
    kinds = {}
    for form, dtype, case in samples.cases_of(op, False):
        if (form, dtype) not in FEW or isinstance(case, Exception):
            continue
        want, _ = run(case)
        if size_of(case, want) <= NUMBERS_MAX and all(case.text() != c.text() for c, _ in
                                                      kinds.get((form, dtype), [])):
            kinds.setdefault((form, dtype), []).append((case, want))
    for (form, dtype), found in kinds.items():
        for i, (case, want) in enumerate(spread(found, FEW[form, dtype])):
            name = f"{samples.full_name(op)}, {form}, {DTYPES[dtype]}, {i}"
            yield golden_case(name, case, want)


def ops():
    return [golden for op in samples.load() if op.name in samples.REQUIRED
            and op.variant_test_name not in samples.NOT_ASKED for golden in cases_of(op)]


def program(name, case):
    want, _ = run(case)
    warned = {} if want["error"] else {"warnings": want["warnings"]}
    return golden_case(name, case, want) | warned


def programs():
    return [program(name, case) for name, case in scripts() if not name.startswith("large_")]


def random_programs():
    return [golden_case(f"random {seed}", case, run(case)[0])
            for seed, case in expressions.programs(RANDOM_PROGRAMS)]


def main():
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name, goldens in (("programs", programs), ("ops", ops), ("random", random_programs)):
        write_json(os.path.join(GOLDEN, f"autograd-{name}.json"), without_open(goldens()))


if __name__ == "__main__":
    main()
