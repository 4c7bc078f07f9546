#!/usr/bin/python3
"""Writes golden/*.json: what PyTorch computes, for tests that run without it. README.md beside
this file describes the format.

Needs Debian's python3-torch. Running it again on a CPU with AVX2 gives the same files.
"""
import os

# Before the imports: one thread and one instruction set, so that the bits do not depend on the CPU.
os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", OPENBLAS_CORETYPE="Haswell",
                  ATEN_CPU_CAPABILITY="avx2")

import math

import numpy
import torch
from torch import nn

import golden_random
from golden_cases import FILES, line_batch, linear, sgd
from golden_json import write_json
from golden_net import build, loss_function, optimizer_of, put_parameters

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
INPUT_GRADIENTS_MAX = 600  # elements of the first batch, to keep the files small
FLOAT32_MAX = float(numpy.finfo(numpy.float32).max)

# Tolerances: FACTOR times what rounding does to PyTorch's own numbers, and at least FLOOR: results
# that happen to agree exactly say nothing about another correct order of additions. More than CAP:
# the case amplifies rounding so much that it tests nothing, and must be chosen anew.
NOISE_RUNS = 6
FACTOR = 8
FLOOR = {"float32": 2e-6, "float64": 1e-12}
CAP = {"float32": 2e-4, "float64": 1e-9}


def tensors_of(batch, dtype):
    """A batch as PyTorch wants it; class numbers stay integers."""
    inputs, targets = batch
    whole = targets.dtype.kind == "i"
    return (torch.tensor(inputs, dtype=dtype),
            torch.tensor(targets, dtype=torch.int64 if whole else dtype))


def arrays(pairs):
    return {name: None if t is None else t.detach().numpy().copy() for name, t in pairs}


def gradients_of(net):
    return arrays((name, p.grad) for name, p in net.named_parameters())


def norm_of(gradients):
    """The 2-norm over all gradients, in double."""
    return math.sqrt(math.fsum(float((g.astype(numpy.float64) ** 2).sum())
                               for g in gradients.values() if g is not None))


def look_at_first(net, f, batch):
    """Forward, loss and every derivative of one batch, without an update."""
    inputs, targets = batch
    inputs = inputs.clone().requires_grad_()
    outputs = net(inputs)
    loss = f(outputs, targets)
    loss.backward()
    gradients = gradients_of(net)
    net.zero_grad(set_to_none=True)
    return {"forward": outputs.detach().numpy().copy(), "loss0": loss.detach().numpy().copy(),
            "gradients": gradients, "input_gradients": inputs.grad.numpy().copy(),
            "grad_norm0": norm_of(gradients)}


def train(net, f, optimizer, batches, steps, noise):
    """The loop as PyTorch's users write it. Returns the losses, each from before its update."""
    losses = []
    for step in range(steps):
        noise(net)
        inputs, targets = batches[step % len(batches)]
        optimizer.zero_grad()
        loss = f(net(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach().numpy().copy())
    return numpy.array(losses)


def run(case, dtype, start=None, noise=lambda net: None):
    """Everything that a golden case records. start: parameters to use in place of the seed's."""
    net = build(case["model"], dtype)
    initial = arrays(net.state_dict().items())
    put_parameters(net, start or case["put"] or {})
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name not in case["freeze"])
    f = loss_function(case["model"]["loss"])
    rounded = torch.float32 if case["model"]["dtype"] == "float32" else torch.float64
    batches = [tuple(t.to(dtype) if t.is_floating_point() else t for t in tensors_of(b, rounded))
               for b in case["batches"]]
    before = arrays(net.state_dict().items())
    noise(net)
    result = look_at_first(net, f, batches[0])
    put_parameters(net, before)
    optimizer = optimizer_of(case["model"]["optimizer"], net)
    losses = train(net, f, optimizer, batches, case["steps"], noise)
    return {"initial": initial, **result, "losses": losses,
            "parameters": arrays(net.state_dict().items()), "before": before}


def distance(got, want):
    """Largest difference, as a fraction of the largest magnitude in want."""
    got, want = numpy.asarray(got, dtype=numpy.float64), numpy.asarray(want, dtype=numpy.float64)
    largest = abs(got - want).max()
    return float(largest / abs(want).max()) if largest > 0 else 0.0


def distances(got, want):
    """A number per group of a case's tensors: the worst tensor of the group."""
    def of(key):
        return distance(got[key], want[key])

    def worst(key):
        return max(distance(got[key][n], t) for n, t in want[key].items() if t is not None)

    return {"forward": of("forward"), "loss": max(of("loss0"), of("losses")),
            "gradients": max(worst("gradients"), of("input_gradients"), of("grad_norm0")),
            "parameters": worst("parameters")}


def rounding_noise(seed, dtype):
    """Moves every parameter by up to 1 unit in the last place before every step."""
    random = numpy.random.RandomState(seed)
    unit = torch.finfo(dtype).eps

    def noise(net):
        with torch.no_grad():
            for p in net.parameters():
                p.mul_(torch.tensor(1 + unit * random.uniform(-1, 1, size=p.shape)).to(p.dtype))
    return noise


def spread_of(case, result):
    """How far equally good computations lie from result: (per group, in words)."""
    dtype = getattr(torch, case["model"]["dtype"])
    spread, words = [], []
    if dtype == torch.float32:
        spread.append(distances(run(case, torch.float64, start=result["before"]), result))
        words.append("the same run in float64")
    if not case["exact_tie"]:
        spread += [distances(run(case, dtype, noise=rounding_noise(seed, dtype)), result)
                   for seed in range(NOISE_RUNS)]
        words.append(f"{NOISE_RUNS} runs with 1 ulp of noise on the parameters before every step")
    groups = ("forward", "loss", "gradients", "parameters")
    largest = {g: max((s[g] for s in spread), default=0.0) for g in groups}
    return largest, " and ".join(words) or "itself (a kink allows no noise)"


def tolerance_of(case, result):
    dtype = case["model"]["dtype"]
    spread, words = spread_of(case, result)
    tolerance = {"initial": 0}
    for group, s in spread.items():
        value = max(FLOOR[dtype], FACTOR * s)
        if value > CAP[dtype]:
            raise SystemExit(f"{case['name']}: {group} amplifies rounding to {s:.1e}")
        digits = 10.0 ** math.floor(math.log10(value))
        tolerance[group] = float(f"{math.ceil(value / digits * 10 - 1e-9) / 10 * digits:.1e}")
    measured = ", ".join(f"{group} {s:.1e}" for group, s in spread.items())
    tolerance["reason"] = (f"{FACTOR} times the largest distance from {words} ({measured}), "
                           f"but at least {FLOOR[dtype]:.0e}")
    return tolerance


def as_stored(array, dtype):
    """Inputs in the dtype that the model reads them in; class numbers as they are."""
    return array if array.dtype.kind == "i" else array.astype(dtype)


def golden_case(case):
    dtype = case["model"]["dtype"]
    result = run(case, getattr(torch, dtype))
    golden = {"name": case["name"], "model": case["model"]}
    if case["put"]:
        golden["put_parameters"] = {n: as_stored(p, dtype) for n, p in case["put"].items()}
    if case["freeze"]:
        golden["freeze"] = case["freeze"]
    golden["batches"] = [{"inputs": as_stored(i, dtype), "targets": as_stored(t, dtype)}
                         for i, t in case["batches"]]
    golden["steps"] = case["steps"]
    for key in ("initial", "forward", "loss0", "gradients", "input_gradients", "grad_norm0",
                "losses", "parameters"):
        if key != "input_gradients" or result[key].size <= INPUT_GRADIENTS_MAX:
            golden[key] = result[key]
    golden["tolerance"] = tolerance_of(case, result)
    return golden


def line_loss_history(lr, dtype, start):
    """Losses of the line's fit, up to and including the first that is not finite in float32,
    and the parameters that gave the last one."""
    inputs, targets = (torch.tensor(t.astype(numpy.float32)).to(dtype) for t in line_batch())
    net = nn.Linear(1, 1, dtype=dtype)
    put_parameters(net, start)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    losses = []
    while not losses or losses[-1] <= FLOAT32_MAX:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(inputs), targets)
        loss.backward()
        losses.append(loss.item())
        last = arrays(net.state_dict().items())
        optimizer.step()
    return losses, last


def divergence():
    """The line with a learning rate too large: where it leaves float32, which would be stable."""
    lr, start = 0.0005, {"weight": numpy.array([[7.0]]), "bias": numpy.array([6.0])}
    losses, last = line_loss_history(lr, torch.float32, start)
    wide, _ = line_loss_history(lr, torch.float64, start)
    x = line_batch()[0][:, 0]
    hessian = 2 * numpy.array([[(x * x).mean(), x.mean()], [x.mean(), 1.0]])
    eigenvalue = float(numpy.linalg.eigvalsh(hessian)[-1])
    model = {"id": "divergence", "layers": [linear(1, 1)], "loss": "mse",
             "optimizer": sgd(lr), "dtype": "float32"}
    inputs, targets = (t.astype(numpy.float32) for t in line_batch())
    return {"model": model,
            "put_parameters": {f"0.{name}": p.astype(numpy.float32) for name, p in start.items()},
            "batches": [{"inputs": inputs, "targets": targets}],
            "losses": numpy.array(losses[:-1], dtype=numpy.float32),
            "applied_steps": len(losses) - 1,
            "applied_steps_wide_mean": len(wide) - 1,
            "last_parameters": {f"0.{name}": p for name, p in last.items()},
            "lambda_max": eigenvalue, "max_stable_lr": 2 / eigenvalue,
            "tolerance": {"losses": 1e-4, "max_stable_lr": 1e-3,
                          "reason": "losses: each relative to itself, they grow 5.4-fold a step; "
                                    "max_stable_lr: power iterations come from below"}}


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    os.makedirs(GOLDEN, exist_ok=True)
    for name, cases in FILES.items():
        write_json(os.path.join(GOLDEN, name), [golden_case(case) for case in cases()])
    write_json(os.path.join(GOLDEN, "divergence.json"), [divergence()])
    write_json(os.path.join(GOLDEN, "init.json"), golden_random.initial_parameters())
    write_json(os.path.join(GOLDEN, "randn.json"), golden_random.random_numbers())


if __name__ == "__main__":
    main()
