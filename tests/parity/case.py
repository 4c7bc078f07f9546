"""A program with its named tensors, and what PyTorch says to it.

An answer is a dict, the same from PyTorch (run) and from the daemon (daemon_side.read):
  values    expression → None or {"dtype", "shape", "requires_grad", "grad_fn", "data" (flat)}
  stdout    what was printed, addresses masked
  graph     one text for each root of the graph (graph_text)
  error     None or {"type", "message", "line"}
  warnings  the text of each
"""
import contextlib
import io
import json
import math
import re
import traceback
import warnings

import torch

DTYPES = {torch.bool: "bool", torch.int64: "int64", torch.float32: "float32",
          torch.float64: "float64"}


class Case:
    """program: text; tensors: name → contiguous leaf; returns: expressions that are looked at."""

    def __init__(self, program, tensors=None, returns=(), seed=0):
        self.program = program
        self.tensors = tensors or {}
        self.returns = list(returns)
        self.seed = seed
        self.graph = True

    def request(self):
        """The body of POST /autograd."""
        body = {"program": self.program, "seed": self.seed}
        if self.tensors:
            body["tensors"] = {name: sent(t) for name, t in self.tensors.items()}
        if self.returns:
            body["return"] = self.returns
            body["graph"] = self.graph
        return body

    def text(self):
        """For people: the tensors, then the program."""
        lines = [f"# {name} = {json.dumps(sent(t))[:400]}" for name, t in self.tensors.items()]
        return "\n".join(lines + [self.program.rstrip("\n")])


def number(x):
    """As JSON has it: a non-finite one is a string."""
    if isinstance(x, float) and not math.isfinite(x):
        return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"
    return x


def real(x):
    """number, backwards."""
    return float(x) if isinstance(x, str) else x


def numbers(t):
    return [number(x) for x in t.detach().reshape(-1).tolist()]


def sent(t):
    """A named tensor as the request has it."""
    spec = {"dtype": DTYPES[t.dtype], "shape": list(t.shape), "data": numbers(t)}
    if t.requires_grad:
        spec["requires_grad"] = True
    return spec


def node_text(root, name_of, inputs_of):
    """Name(inputs…), depth first; a node that is met again is #n, the n-th that was met."""
    met = {}

    def text(node):
        if node in met:
            return f"#{met[node]}"
        met[node] = len(met)
        inputs = [text(n) for n in inputs_of(node)]
        return name_of(node) + ("(" + ",".join(inputs) + ")" if inputs else "")

    return text(root)


def graph_text(nodes, name_of, inputs_of):
    """The text of each root: of the nodes that no edge of the others leads to. Sorted."""
    led_to = {m for n in nodes for m in inputs_of(n)}
    return sorted(node_text(n, name_of, inputs_of) for n in nodes if n not in led_to)


def name_of(node):
    return node.name().removeprefix("torch::autograd::")


def next_of(node):
    return [n for n, _ in node.next_functions if n is not None]


def graph_of(tensors):
    """All that can be reached from these tensors."""
    nodes, front = {}, [t.grad_fn for t in tensors if t.grad_fn is not None]
    while front:
        node = front.pop()
        if node not in nodes:
            nodes[node] = None
            front += next_of(node)
    return graph_text(nodes, name_of, next_of)


def value_of(x):
    """None stands for None. What cannot be told over HTTP has no dtype of ours."""
    if not isinstance(x, torch.Tensor):
        return x
    return {"dtype": DTYPES.get(x.dtype, str(x.dtype)), "shape": list(x.shape),
            "requires_grad": x.requires_grad,
            "grad_fn": name_of(x.grad_fn) if x.grad_fn is not None else None, "data": numbers(x)}


def masked(text):
    """Without the addresses of <AddBackward0 object at 0x7f…>."""
    return re.sub(r"0x[0-9a-f]+", "0x0", text)


def first_part(message):
    """Of an error or a warning: without PyTorch's list of its C++ signatures, and where in C++."""
    return re.sub(r"(, but expected one of:\n| \(Triggered internally|\nException raised).*", "",
                  masked(message), flags=re.DOTALL)


def error_of(e):
    """What the last line of the traceback says, and the line of the program that it is about."""
    if isinstance(e, SyntaxError):
        return {"type": type(e).__name__, "message": e.msg, "line": e.lineno}
    lines = [f.lineno for f in traceback.extract_tb(e.__traceback__) if f.filename == "<program>"]
    return {"type": type(e).__name__, "message": first_part(str(e)), "line": lines[-1] if lines else 0}


def fresh_state(seed):
    """As a process that has just started; what it would warn of once, it warns of each time."""
    torch.set_warn_always(True)
    torch.manual_seed(seed)
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)


def fresh_tensors(tensors):
    """Leaves of their own, so that a case can be run again."""
    return {name: t.detach().clone().requires_grad_(t.requires_grad) for name, t in tensors.items()}


def run(case):
    """PyTorch's answer, and the names that the program left."""
    names = {"torch": torch, **fresh_tensors(case.tensors)}
    answer = {"values": {}, "graph": [], "error": None}
    out = io.StringIO()
    fresh_state(case.seed)
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(out):
        warnings.simplefilter("always")
        try:
            exec(compile(case.program, "<program>", "exec"), names)
            found = {e: eval(e, names) for e in case.returns}
            answer["values"] = {e: value_of(x) for e, x in found.items()}
            answer["graph"] = graph_of([x for x in found.values() if isinstance(x, torch.Tensor)])
        except Exception as e:  # whatever the program does wrong
            answer["error"] = error_of(e)
    torch.set_grad_enabled(True)
    answer["stdout"] = masked(out.getvalue())
    answer["warnings"] = [first_part(str(w.message)) for w in caught]
    return answer, names

