#!/usr/bin/python3
"""Writes tests/engine/kinks_golden.inc and promotion_golden.inc: what PyTorch makes of the numbers and
the types at which elementwise operations are not ordinary. Needs Debian's python3-torch and
clang-format-14."""
import os

# Before the imports: one thread and one instruction set, so that the bits do not depend on the CPU.
os.environ.update(OMP_NUM_THREADS="1", ATEN_CPU_CAPABILITY="avx2")

import math
import operator
import subprocess
import warnings

import torch
import torch.nn.functional as F

warnings.simplefilter("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
INF, NAN = math.inf, math.nan


def c_number(x):
    x = float(x)
    if math.isnan(x):
        return "NAN"
    if math.isinf(x):
        return "-INFINITY" if x < 0 else "INFINITY"
    return repr(x).removesuffix(".0") if x else "-0.0" if math.copysign(1, x) < 0 else "0"


def c_row(numbers):
    return "{" + ", ".join(c_number(x) for x in numbers) + "}"


# ---- kinks: values and gradients at special numbers -------------------------------------------

POINTS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -2.5, INF, -INF, NAN, 30.0]
PAIRS = [(0.0, 0.0), (0.0, 2.0), (0.0, -1.0), (0.0, 0.5), (2.0, 3.0), (-2.0, 2.0), (-2.0, 0.5),
         (NAN, 0.0), (1.0, NAN), (NAN, NAN), (2.0, 0.0), (INF, 0.0), (1.0, INF), (0.0, INF),
         (-1.0, INF), (INF, -1.0), (2.0, -INF), (3.0, 3.0), (-3.0, INF), (-7.0, 3.0), (7.0, -3.0),
         (-6.0, 3.0), (1.0, -INF), (INF, INF)]
TRIPLES = [(1.0, 0.0, 2.0), (0.0, 0.0, 2.0), (2.0, 0.0, 2.0), (3.0, 0.0, 2.0), (-1.0, 0.0, 2.0),
           (1.0, 2.0, 0.0), (3.0, 2.0, 0.0), (-1.0, 2.0, 0.0), (0.0, 2.0, 0.0), (2.0, 2.0, 0.0),
           (NAN, 0.0, 1.0), (1.0, NAN, 1.0), (1.0, 0.0, NAN), (0.0, 1.0, 1.0), (1.0, 1.0, 1.0)]

UNARY = {name.upper(): (0, 0, getattr(torch, name)) for name in
         "abs sign floor ceil round trunc reciprocal sqrt rsqrt exp exp2 expm1 log log1p log2 log10 "
         "sin cos tan sinh cosh atan erf neg sigmoid tanh".split()}
VARIED = [("RSUB", 2, 1, lambda x: 2 - x),
          ("LEAKY_RELU", -0.5, 0, lambda x: F.leaky_relu(x, -0.5)),
          ("SILU", 0, 0, F.silu), ("LOG_SIGMOID", 0, 0, F.logsigmoid),
          ("ELU", 1, 0, F.elu), ("ELU", 0.5, 0, lambda x: F.elu(x, 0.5)),
          ("SOFTPLUS", 1, 20, F.softplus), ("SOFTPLUS", 2, 1, lambda x: F.softplus(x, 2, 1)),
          ("SOFTPLUS", -1, 20, lambda x: F.softplus(x, -1)),
          ("SOFTPLUS", 0, 20, lambda x: F.softplus(x, 0)),
          ("HARDTANH", -1, 1, F.hardtanh), ("HARDTANH", 0, 6, F.relu6),
          ("CLAMP", -1, 1, lambda x: x.clamp(-1, 1)), ("CLAMP", 1, -1, lambda x: x.clamp(1, -1)),
          ("CLAMP", -1, NAN, lambda x: x.clamp(min=-1)),
          ("CLAMP", NAN, 0.5, lambda x: x.clamp(max=0.5))]
VARIED += [("POW", p, 0, lambda x, p=p: x**p)
           for p in (0, 1, 2, 3, 4, -1, -2, 0.5, -0.5, 2.5, -1.5, INF, -INF, NAN)]
BINARY = [("POW_TENSOR", torch.pow), ("REMAINDER", torch.remainder), ("DIV", torch.div),
          ("MAXIMUM", torch.maximum), ("MINIMUM", torch.minimum),
          ("CLAMP_TENSOR_MIN", lambda x, y: x.clamp(min=y)),
          ("CLAMP_TENSOR_MAX", lambda x, y: x.clamp(max=y)),
          ("MUL", torch.mul), ("SUB", torch.sub), ("FLOOR_DIVIDE", torch.floor_divide)]


def at(f, numbers):
    """f of the numbers and its derivatives."""
    x = [torch.tensor(n, dtype=torch.float64, requires_grad=True) for n in numbers]
    y = f(*x)
    if not y.grad_fn or y.grad_fn.name() == "torch::autograd::NotImplemented":
        return [y.item()] + [0.0] * len(x)
    y.backward()
    return [y.item()] + [k.grad.item() for k in x]


def write_kinks(out):
    out.write("static const double points[] = " + c_row(POINTS) + ";\n")
    out.write("static const struct kinks kinks[] = {\n")
    for name, alpha, beta, f in [(n, *v) for n, v in UNARY.items()] + VARIED:
        y, dx = zip(*(at(f, (p,)) for p in POINTS))
        out.write("{OP_%s, %s, %s,\n%s,\n%s},\n" % (name, c_number(alpha), c_number(beta),
                                                    c_row(y), c_row(dx)))
    out.write("};\nstatic const double pairs[][2] = {" + ", ".join(map(c_row, PAIRS)) + "};\n")
    out.write("static const struct pair_kinks pair_kinks[] = {\n")
    for name, f in BINARY:
        y, da, db = zip(*(at(f, p) for p in PAIRS))
        out.write("{OP_%s,\n%s,\n%s,\n%s},\n" % (name, c_row(y), c_row(da), c_row(db)))
    out.write("};\n/* x, low, high; the clamped number; its derivatives */\n")
    out.write("static const double clamps[][7] = {\n")
    for t in TRIPLES:
        out.write(c_row(list(t) + at(lambda x, a, b: x.clamp(a, b), t)) + ",\n")
    out.write("};\n")


# ---- promotion: types and values of mixed operands ---------------------------------------------

DTYPES = {"b": (torch.bool, True), "i": (torch.int64, 3), "f": (torch.float32, 2.5),
          "d": (torch.float64, -0.75)}
LETTER = {dtype: letter for letter, (dtype, _) in DTYPES.items()}
NUMBERS = {"b": True, "i": 2, "d": 1.5}
# Python's operators take numbers; the functions do not, except where.
MIXED = [("ADD", operator.add), ("SUB", operator.sub), ("MUL", operator.mul),
         ("DIV", operator.truediv), ("POW_TENSOR", operator.pow), ("REMAINDER", operator.mod),
         ("FLOOR_DIVIDE", operator.floordiv), ("EQ", operator.eq), ("NE", operator.ne),
         ("LT", operator.lt), ("LE", operator.le), ("GT", operator.gt), ("GE", operator.ge),
         ("BITWISE_AND", operator.and_), ("BITWISE_OR", operator.or_),
         ("BITWISE_XOR", operator.xor),
         ("WHERE", lambda x, y: torch.where(torch.tensor(False), x, y)),
         ("MAXIMUM", torch.maximum), ("MINIMUM", torch.minimum),
         ("CLAMP_TENSOR_MIN", lambda x, y: torch.Tensor.clamp(x, min=y)),
         ("LOGICAL_AND", torch.logical_and), ("LOGICAL_OR", torch.logical_or),
         ("LOGICAL_XOR", torch.logical_xor)]
TENSORS_ONLY = [f for name, f in MIXED[-6:]]
ALONE = [(n.upper(), 0, 0, getattr(torch, n)) for n in
         "neg abs sign floor ceil round trunc reciprocal sqrt rsqrt exp exp2 expm1 log log1p log2 "
         "log10 sin cos tan sinh cosh atan erf logical_not isnan isfinite isinf bitwise_not relu "
         "sigmoid tanh".split()]
ALONE += [("HARDTANH", -1, 2.5, lambda x: F.hardtanh(x, -1, 2.5)),
          ("LEAKY_RELU", 0.5, 0, lambda x: F.leaky_relu(x, 0.5)), ("SILU", 0, 0, F.silu),
          ("GELU", 0, 0, F.gelu), ("ELU", 1, 0, F.elu), ("SOFTPLUS", 1, 20, F.softplus),
          ("LOG_SIGMOID", 0, 0, F.logsigmoid)]
BY_NUMBER = [("RSUB", torch.rsub), ("POW", torch.pow), ("CLAMP_MIN", lambda x, n: x.clamp(min=n)),
             ("CLAMP_MAX", lambda x, n: x.clamp(max=n)),
             ("CLAMP", lambda x, n: x.clamp(n, n))]


def operands():
    """Of each type with a dimension and without, and Python's numbers."""
    for shape in ((1,), ()):
        for dtype, value in DTYPES.values():
            yield torch.full(shape, value, dtype=dtype)
    yield from NUMBERS.values()


def outcome(f, *x):
    """A letter for the type and the value; - for an error, ? for what PyTorch's Python has no way
    to say."""
    numbers = sum(not torch.is_tensor(k) for k in x)
    if numbers == 2 or (numbers and f in TENSORS_ONLY) or (f == torch.rsub and x[1] is True):
        return "?"
    try:
        y = f(*x)
        return LETTER[y.dtype] + "%.13g" % float(y)
    except (RuntimeError, TypeError):
        return "-"


def write_promotion(out):
    out.write("static const struct mixed mixed[] = {\n")
    for name, f in MIXED:
        lines = (" ".join(outcome(f, x, y) for y in operands()) for x in operands())
        out.write("{OP_%s, {%s}},\n" % (name, ", ".join('"%s"' % line for line in lines)))
    out.write("};\nstatic const struct alone alone[] = {\n")
    for name, alpha, beta, f in ALONE:
        line = " ".join(outcome(f, torch.full((1,), v, dtype=t)) for t, v in DTYPES.values())
        out.write('{OP_%s, %s, %s, "%s"},\n' % (name, c_number(alpha), c_number(beta), line))
    out.write("};\nstatic const struct by_number by_number[] = {\n")
    for name, f in BY_NUMBER:
        lines = (" ".join(outcome(f, x, n) for n in NUMBERS.values())
                 for x in operands() if torch.is_tensor(x))
        out.write("{OP_%s, {%s}},\n" % (name, ", ".join('"%s"' % line for line in lines)))
    out.write("};\n")


def write(name, what, body):
    path = os.path.join(HERE, "..", "engine", name)
    with open(path, "w", encoding="utf-8") as out:
        out.write("/* tests/engine/%s - %s\n * Written by tests/data/gen_elementwise.py. */\n"
                  % (name, what))
        body(out)
    subprocess.run(["clang-format-14", "-i", path], check=True)


write("kinks_golden.inc", "values and derivatives at special numbers, as PyTorch has them.",
      write_kinks)
write("promotion_golden.inc", "types and values of mixed operands, as PyTorch has them.",
      write_promotion)
