"""PyTorch's own sample inputs, of its OpInfo database, as cases."""
import random
import re
import sys
import types
import unittest
import warnings
import zlib

import numpy
import torch

from case import Case, DTYPES, fresh_state, run
from translate import FORMS, Unwritable, write

# What issue 3 asks for, by PyTorch's names. All else in the database is tried as well, and counts
# as soon as the daemon knows the name.
REQUIRED = set("""
add sub mul div neg pow sqrt rsqrt exp log log1p abs sin cos sigmoid tanh clamp maximum minimum
where matmul mm mv dot outer addmm bmm sum mean max min amax amin prod var std norm argmax argmin
view reshape flatten t transpose permute squeeze unsqueeze expand cat stack __getitem__ select
narrow index_select softmax log_softmax nn.functional.relu nn.functional.leaky_relu
nn.functional.gelu nn.functional.silu nn.functional.elu nn.functional.softplus
nn.functional.linear nn.functional.conv2d nn.functional.mse_loss nn.functional.l1_loss
nn.functional.smooth_l1_loss nn.functional.huber_loss nn.functional.binary_cross_entropy
nn.functional.binary_cross_entropy_with_logits nn.functional.cross_entropy nn.functional.nll_loss
eq ne lt le gt ge remainder floor_divide rsub reciprocal square
""".split())

# Variants of these that are not.
NOT_ASKED = {"nuc": "the nuclear norm, which needs a singular value decomposition"}

# What the product says it does not do: a refusal there, or one node more, is no difference.
LIMITS = [
    (r"^(squeeze|unsqueeze|transpose|t|as_strided)$", "in place", None, {"refused"},
     "a change of a tensor's shape in place"),
    (r"^nn.functional.pad", None, None, {"refused"}, "a padding that is not constant"),
    (r"^linalg.norm", None, None, {"refused"}, "a norm of matrices"),
    (r"^nn.functional.conv2d", None, "int64", {"refused"}, "a convolution of integers"),
    (r"^linspace", None, None, {"refused"}, "linspace of integers"),
    (r"^masked_fill", None, None, {"refused"}, "a tensor as the value of masked_fill"),
    (r"^masked_select", None, None, {"graph"}, "one node more for a scalar"),
]


def limit_of(name, form, dtype, found):
    """The declared limit that explains what was found, or None."""
    kinds = {kind for kind, _ in found}
    for pattern, at_form, at_dtype, allowed, reason in LIMITS:
        if (kinds and kinds <= allowed and re.search(pattern, name) and
                at_form in (None, form) and (at_dtype is None or at_dtype in str(dtype))):
            return reason
    return None


# Their numbers are whatever the memory held, or not PyTorch's own.
ARBITRARY = {"empty", "empty_like", "new_empty", "new_empty_strided", "resize_", "resize_as_",
             "to_sparse", "bfloat16", "half", "chalf",
             "as_strided_scatter"}  # its gradient holds memory that was never written
ELEMENTS_MAX = 20000  # of a sample of the long form


def load():
    """The database. It wants a module for expected texts, which it does not use here."""
    stub = types.ModuleType("expecttest")
    stub.ACCEPT, stub.TestCase = False, type("TestCase", (unittest.TestCase,), {})
    sys.modules.setdefault("expecttest", stub)
    from torch.testing._internal import common_methods_invocations
    return [op for op in common_methods_invocations.op_db if op.name not in ARBITRARY]


def full_name(op):
    return op.name + (f" ({op.variant_test_name})" if op.variant_test_name else "")


def seed_for(text):
    seed = zlib.crc32(text.encode())
    torch.manual_seed(seed)
    random.seed(seed)
    numpy.random.seed(seed)


def size_of(x):
    if isinstance(x, torch.Tensor):
        return x.numel()
    if isinstance(x, dict):
        return sum(map(size_of, x.values()))
    return sum(map(size_of, x)) if isinstance(x, (list, tuple)) else 0


def samples_of(op, dtype, long):
    """Seeded, so that a sample is the same in every run."""
    seed_for(full_name(op) + str(dtype))
    grad = dtype.is_floating_point and op.supports_autograd
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = op.reference_inputs if long else op.sample_inputs
        try:
            for sample in source("cpu", dtype, requires_grad=grad):
                if size_of((sample.input, sample.args, sample.kwargs)) <= ELEMENTS_MAX:
                    yield sample
        except ValueError:
            pass  # clamp's last reference inputs ask for integers with a gradient


def dtypes_of(op):
    return [d for d in (torch.float64, torch.float32, torch.int64, torch.bool) if d in op.dtypes]


def tensors_in(y, path="y"):
    """(expression, tensor) of all that a result holds; anything else cannot be looked at."""
    if isinstance(y, torch.Tensor):
        if y.dtype not in DTYPES:
            raise Unwritable("a result that is none of bool, int64, float32, float64")
        return [(path, y)]
    if isinstance(y, (list, tuple)):
        return [leaf for i, item in enumerate(y) for leaf in tensors_in(item, f"{path}[{i}]")]
    raise Unwritable(f"a result of type {type(y).__name__}")


def add_backward(w, found):
    """Lines that send a random gradient back through all that requires one."""
    wanted = [(e, t) for e, t in found if t.requires_grad]
    for i, (_, t) in enumerate(wanted):
        w.tensors[f"g{i}"] = torch.randn(t.shape, dtype=t.dtype)
    if len(wanted) == 1:
        w.lines.append(f"{wanted[0][0]}.backward(g0)")
    elif wanted:
        terms = " + ".join(f"({e} * g{i}).sum()" for i, (e, _) in enumerate(wanted))
        w.lines += [f"loss = {terms}", "loss.backward()"]
    gradients = [f"{name}.grad" for name in w.leaves] if wanted else []
    return gradients + (["loss"] if len(wanted) > 1 else [])


def program_of(w):
    return "".join(line + "\n" for line in w.lines)


def same_tensor(a, b):
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.is_floating_point() or a.is_complex():
        return torch.allclose(a, b, rtol=0, atol=0, equal_nan=True)
    return torch.equal(a, b)


def same(a, b):
    """Number for number, NaN like NaN."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return same_tensor(a, b)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def direct(op, sample, form):
    """The result of what the database itself calls; None if that fails."""
    call = op.inplace_variant if form == "in place" else op.op
    fresh_state(0)
    try:
        this = sample.input.clone() if form == "in place" else sample.input
        return call(this, *sample.args, **sample.kwargs)
    except Exception:  # whatever it says: the program must fail too
        return None


def forward(op, sample, form, w):
    """Runs the program so far, which must do what the database calls. raises Unwritable"""
    fresh_state(0)
    before = torch.random.get_rng_state()
    answer, names = run(Case(program_of(w), w.tensors))
    if not torch.equal(before, torch.random.get_rng_state()):
        w.lines.insert(0, "torch.manual_seed(42)")  # as the database does for such an op
        answer, names = run(Case(program_of(w), w.tensors))
    if form == "operator":
        return answer, names  # 2 / x has another node than torch.div(2, x), and other last bits
    want = direct(op, sample, form)
    if (want is None) != (answer["error"] is not None):
        raise Unwritable(f"another result when written down: {answer['error']}")
    if want is not None and not same(want, names["y"]):
        raise Unwritable("another result when written down")
    return answer, names


def check_defects(op, sample):
    """What PyTorch 1.13 itself gets wrong is no measure. raises Unwritable"""
    args = (*sample.args, *sample.kwargs.values())
    if op.name.startswith("linalg.") and op.name.endswith("norm") and \
            any(isinstance(x, float) and numpy.float32(x) != x for x in args):
        raise Unwritable("PyTorch rounds the norm's order to float32")


def case_of(op, sample, form):
    """None: the op has no such form. raises Unwritable"""
    w = write(op, sample, form)
    if w is None:
        return None
    check_defects(op, sample)
    answer, names = forward(op, sample, form, w)
    if answer["error"]:
        return Case(program_of(w), w.tensors)
    found = tensors_in(names["y"])
    returns = [e for e, _ in found] + add_backward(w, found)
    case = Case(program_of(w), w.tensors, returns)
    error = run(case)[0]["error"]
    if error and "is not implemented" not in error["message"]:
        raise Unwritable("PyTorch's own backward fails")
    return Case(case.program, case.tensors) if error else case


def errors_of(op):
    """The database's calls that must fail."""
    seed_for(full_name(op))
    for wrong in op.error_inputs("cpu") if op.error_inputs_func else []:
        try:
            w = write(op, wrong.sample_input, "function")
        except Unwritable:
            continue  # mostly other devices and types
        case = Case(program_of(w), w.tensors)
        if run(case)[0]["error"]:
            yield "error", "", case


def cases_of(op, long):
    """(form, dtype, case or the Unwritable that says why not), each."""
    for dtype in dtypes_of(op):
        for sample in samples_of(op, dtype, long):
            for form in FORMS:
                state = torch.random.get_rng_state()
                try:
                    case = case_of(op, sample, form)
                    if case is not None:
                        yield form, dtype, case
                except Unwritable as e:
                    yield form, dtype, e
                torch.random.set_rng_state(state)
    yield from errors_of(op)
