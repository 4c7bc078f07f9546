"""Writes a sample of PyTorch's as a program, as a user would write the call."""
import types

import torch

from case import DTYPES

OPERATORS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "true_divide": "/", "pow": "**",
             "remainder": "%", "floor_divide": "//", "matmul": "@", "eq": "==", "ne": "!=",
             "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "bitwise_and": "&", "bitwise_or": "|",
             "bitwise_xor": "^"}
REFLECTED = {"__radd__": "+", "__rsub__": "-", "__rmul__": "*", "__rdiv__": "/", "__rpow__": "**",
             "__rmod__": "%", "__rmatmul__": "@", "__rand__": "&", "__ror__": "|", "__rxor__": "^"}
DIMS_MAX = 8  # of the daemon's tensors; PyTorch's end at 64
FORMS = ("function", "method", "operator", "in place")


class Unwritable(Exception):
    """The sample has no program in our language; the text says why."""


def plain(value):
    """A Python value without tensors as its literal."""
    if value is None or value is Ellipsis or isinstance(value, (bool, int, str)):
        return "..." if value is Ellipsis else repr(value)
    if isinstance(value, float):
        return repr(value) if value - value == 0 else f"float('{value}')"
    if isinstance(value, complex):
        raise Unwritable("a complex number")
    if isinstance(value, torch.dtype):
        if value not in DTYPES:
            raise Unwritable("a dtype that is none of bool, int64, float32, float64")
        return str(value)
    if isinstance(value, (torch.memory_format, torch.layout, torch.device)):
        raise Unwritable("a memory format, layout or device")
    raise Unwritable(f"an argument of type {type(value).__name__}")


class Writer:
    """Gathers the named tensors and the lines of one program."""

    def __init__(self):
        self.tensors, self.lines, self.leaves = {}, [], []
        self.known = {}  # id of a tensor → (its name, the tensor, to keep its id)
        self.positional = 0

    def name(self, hint):
        name = hint or f"a{self.positional}"
        self.positional += not hint
        while name in self.tensors or f"{name}_base" in self.tensors:
            name += "_"
        return name

    def tensor(self, t, hint):
        if id(t) not in self.known:
            self.known[id(t)] = (self.new_tensor(t, self.name(hint)), t)
        return self.known[id(t)][0]

    def new_tensor(self, t, name):
        if t.dtype not in DTYPES:
            raise Unwritable("a complex tensor" if t.is_complex() else
                             "a tensor that is none of bool, int64, float32, float64")
        if t.layout != torch.strided or t.is_conj() or t.is_neg() or t.device.type != "cpu":
            raise Unwritable("a sparse or lazily negated tensor, or one that is not in memory")
        if t.dim() > DIMS_MAX:
            raise Unwritable(f"a tensor of more than {DIMS_MAX} dimensions")
        if t.requires_grad:
            self.leaves.append(name)
        flat = t.detach()
        if flat.is_contiguous():
            self.tensors[name] = flat.clone().requires_grad_(t.requires_grad)
        else:
            self.strided(flat, name, t.requires_grad)
        return name

    def strided(self, t, name, requires_grad):
        """A tensor with holes or of another order: its memory, row-major, and the view of it."""
        reach = 1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride())) if t.numel() else 0
        base = torch.as_strided(t, (reach,), (1,), t.storage_offset()).clone()
        self.tensors[f"{name}_base"] = base
        self.lines.append(f"{name} = {name}_base.as_strided({tuple(t.shape)}, {t.stride()})" +
                          (".requires_grad_()" if requires_grad else ""))

    def value(self, value, hint=""):
        """Any argument; a list's tensors get numbered names."""
        if isinstance(value, torch.Tensor):
            return self.tensor(value, hint)
        if isinstance(value, slice):
            parts = [self.value(v, hint) for v in (value.start, value.stop, value.step)]
            return f"slice({', '.join(parts)})"
        if isinstance(value, (list, tuple)):
            items = [self.value(v, hint) for v in value]
            if isinstance(value, list):
                return f"[{', '.join(items)}]"
            return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
        return plain(value)

    def index(self, value):
        """What stands between the brackets of x[…]."""
        if isinstance(value, tuple) and value:
            return ", ".join(self.index(v) for v in value) + ("," if len(value) == 1 else "")
        if isinstance(value, slice):
            ends = ["" if v is None else self.value(v) for v in (value.start, value.stop)]
            return ":".join(ends) + ("" if value.step is None else f":{self.value(value.step)}")
        return self.value(value)

    def arguments(self, args, kwargs):
        if "out" in kwargs:
            raise Unwritable("a result that is written over an out= tensor")
        return ", ".join([self.value(a) for a in args] +
                         [f"{k}={self.value(v, k)}" for k, v in kwargs.items()])


def dotted(name):
    """torch.a.b if there is one, else None."""
    found = torch
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def is_property(name):
    return isinstance(getattr(torch.Tensor, name, None),
                      (types.GetSetDescriptorType, property))


def function_form(w, op, sample):
    name = op.name
    if name == "__getitem__":
        return f"{w.value(sample.input)}[{w.index(sample.args[0])}]"
    if name in REFLECTED:
        this = w.value(sample.input)
        return f"{w.value(sample.args[0])} {REFLECTED[name]} {this}"
    if callable(dotted(name)):
        args = (sample.input, *sample.args)
        if name == "where":  # the database gives the condition second, as the method takes it
            args = (args[1], args[0], *args[2:])
        return f"torch.{name}({w.arguments(args, sample.kwargs)})"
    return method_form(w, name, sample)


def method_form(w, name, sample):
    this = w.value(sample.input)
    if not hasattr(torch.Tensor, name) or not isinstance(sample.input, torch.Tensor):
        raise Unwritable("neither torch nor a tensor has that name")
    if is_property(name):
        return f"{this}.{name}"
    return f"{this}.{name}({w.arguments(sample.args, sample.kwargs)})"


def operator_form(w, op, sample):
    """None where no operator says the same."""
    sign = OPERATORS.get(op.name)
    if not sign or len(sample.args) != 1 or sample.kwargs:
        return None
    if not any(isinstance(x, torch.Tensor) for x in (sample.input, sample.args[0])):
        return None
    return f"{w.value(sample.input)} {sign} {w.value(sample.args[0])}"


def in_place_form(w, op, sample):
    name = op.name.rpartition(".")[2] + "_"
    if not op.inplace_variant or sample.broadcasts_input:
        return None
    if callable(dotted("nn.functional." + name)) and op.name.startswith("nn."):
        w.lines.append(f"y = {w.value(sample.input)}.clone()")
        rest = w.arguments(sample.args, sample.kwargs)
        return f"torch.nn.functional.{name}(y{', ' + rest if rest else ''})"
    if not hasattr(torch.Tensor, name):
        return None
    w.lines.append(f"y = {w.value(sample.input)}.clone()")
    return f"y.{name}({w.arguments(sample.args, sample.kwargs)})"


def write(op, sample, form):
    """A Writer whose last line gives y; None where the op has no such form."""
    w = Writer()
    call = None
    if form == "function":
        call = function_form(w, op, sample)
    elif form == "method" and op.method_variant and callable(dotted(op.name)) and \
            isinstance(sample.input, torch.Tensor):
        call = method_form(w, op.name, sample)
    elif form == "operator":
        call = operator_form(w, op, sample)
    elif form == "in place":
        call = in_place_form(w, op, sample)
    if call is None:
        return None
    w.lines.append(call if form == "in place" else f"y = {call}")
    return w
