#!/usr/bin/python3
"""Writes golden/fit.json: what a PyTorch loop over a DataLoader computes, for jobs of POST fit.
README.md beside this file describes the format.

Needs Debian's python3-torch. Running it again on a CPU with AVX2 gives the same file.
"""
import math
import os

import gen_golden  # first: it sets what the bits depend on

import numpy
import torch
from torch.utils.data import DataLoader, TensorDataset

from golden_cases import linear, sgd, read_csv
from golden_json import write_json
from golden_net import build, loss_function, optimizer_of, put_parameters

SCHEDULES = {"step_lr": torch.optim.lr_scheduler.StepLR,
             "exponential_lr": torch.optim.lr_scheduler.ExponentialLR,
             "cosine_annealing_lr": torch.optim.lr_scheduler.CosineAnnealingLR}


def schedule_of(spec, optimizer):
    if not spec:
        return None
    return SCHEDULES[spec["type"]](optimizer, **{k: v for k, v in spec.items() if k != "type"})


def mean_loss(net, f, loader):
    """Over all rows, as Keras and most loops count it: a mean is weighted by its rows."""
    total, rows = 0.0, 0
    with torch.no_grad():
        for inputs, targets in loader:
            weight = len(inputs) if f.reduction == "mean" else 1
            total += float(f(net(inputs), targets)) * weight
            rows += len(inputs)
    return total / rows if f.reduction == "mean" else total


def train_epoch(net, f, optimizer, loader, noise, losses):
    total, rows = 0.0, 0
    for inputs, targets in loader:
        noise(net)
        optimizer.zero_grad()
        loss = f(net(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach().numpy().copy())
        total += float(loss) * (len(inputs) if f.reduction == "mean" else 1)
        rows += len(inputs)
    return total / rows if f.reduction == "mean" else total


def run(case, dtype, start=None, noise=lambda net: None):
    """Everything that a golden case records. start: parameters in place of the seed's."""
    fit = case["fit"]
    net = build(case["model"], dtype)
    put_parameters(net, start or {})
    initial = gen_golden.arrays(net.state_dict().items())
    f = loss_function(case["model"]["loss"])
    stored = getattr(torch, case["model"]["dtype"])
    batches = [gen_golden.tensors_of(b, stored) for b in case["batches"]]
    x, y = (torch.cat([b[i] for b in batches]) for i in range(2))
    x, y = x.to(dtype), y.to(dtype) if y.is_floating_point() else y
    train = math.floor(len(x) * (1 - fit.get("validation_split", 0)))
    generator = torch.Generator().manual_seed(fit.get("seed", 0))
    loader = DataLoader(TensorDataset(x[:train], y[:train]), batch_size=fit["batch_size"],
                        shuffle=fit.get("shuffle", False), generator=generator)
    held = DataLoader(TensorDataset(x[train:], y[train:]), batch_size=fit["batch_size"])
    optimizer = optimizer_of(case["model"]["optimizer"], net)
    schedule = schedule_of(fit.get("lr_schedule"), optimizer)
    stopping, best, waited = fit.get("early_stopping"), math.inf, 0
    losses, epochs, validation, rates = [], [], [], []
    for _ in range(fit["epochs"]):
        epochs.append(train_epoch(net, f, optimizer, loader, noise, losses))
        if train < len(x):
            validation.append(mean_loss(net, f, held))
        if schedule:
            schedule.step()
        rates.append(optimizer.param_groups[0]["lr"])
        watched = validation[-1] if validation else epochs[-1]
        if watched < best - (stopping or {}).get("min_delta", 0):
            best, waited = watched, 0
        else:
            waited += 1
        if stopping and waited >= stopping["patience"]:
            break
    return {"initial": initial, "losses": numpy.array(losses), "epoch_losses": numpy.array(epochs),
            "validation_losses": numpy.array(validation), "rates": numpy.array(rates),
            "parameters": gen_golden.arrays(net.state_dict().items())}


def tolerance_of(case, result):
    dtype = getattr(torch, case["model"]["dtype"])
    others = [run(case, dtype, noise=gen_golden.rounding_noise(seed, dtype))
              for seed in range(gen_golden.NOISE_RUNS)] + [run(case, torch.float64, start=result["initial"])]

    def spread(of):
        return max(gen_golden.distance(of(o), of(result)) for o in others)

    tolerance = {}
    groups = {"losses": lambda r: r["losses"], "epoch_losses": lambda r: r["epoch_losses"],
              "parameters": lambda r: numpy.concatenate([p.ravel()
                                                         for p in r["parameters"].values()])}
    if len(result["validation_losses"]):
        groups["validation_losses"] = lambda r: r["validation_losses"]
    for name, of in groups.items():
        value = max(gen_golden.FLOOR[case["model"]["dtype"]], gen_golden.FACTOR * spread(of))
        if value > gen_golden.CAP[case["model"]["dtype"]]:
            raise SystemExit(f"{case['name']}: {name} amplifies rounding to {value:.1e}")
        tolerance[name] = float(f"{value:.1e}")
    tolerance["reason"] = ("8 times the largest distance from the same run in float64 and from 6 "
                           "runs with 1 ulp of noise on the parameters before every step")
    return tolerance


def model(name, layers, loss, optimizer, dtype="float32"):
    return {"id": name, "layers": layers, "loss": loss, "optimizer": optimizer, "dtype": dtype}


def parts(inputs, targets, sizes):
    """Consecutive batches of these sizes."""
    ends = numpy.cumsum(sizes)
    return [(inputs[end - n:end], targets[end - n:end]) for n, end in zip(sizes, ends)]


def iris(sizes, classes):
    """Rows of iris, one kind after the other; as numbers, the width of the petal."""
    rows = read_csv("iris.csv")[::3][:sum(sizes)]
    rows = rows[numpy.argsort(numpy.arange(len(rows)) * 7 % len(rows))]
    if classes:
        centred = ((rows[:, :4] - [5.8, 3, 3.8, 1.2]) / 2).round(3)
        return parts(centred, rows[:, 4].astype(numpy.int64), sizes)
    return parts(rows[:, :3] / 8, rows[:, 3:4] / 3, sizes)


def net(inputs, hidden, outputs):
    return [linear(inputs, hidden), {"type": "tanh"}, linear(hidden, outputs)]


def cases():
    regression = lambda: iris([7, 12, 9, 13], False)
    classes = lambda: iris([20, 25], True)
    return [
        {"name": "fit-shuffled", "batches": regression(),
         "model": model("fit-shuffled", net(3, 5, 1), "mse", sgd(0.1, momentum=0.9)),
         "fit": {"epochs": 6, "batch_size": 4, "shuffle": True, "seed": 3,
                 "validation_split": 0.25,
                 "lr_schedule": {"type": "step_lr", "step_size": 2, "gamma": 0.5}}},
        {"name": "fit-in-order", "batches": regression(),
         "model": model("fit-in-order", net(3, 4, 1), "huber", sgd(0.2), "float64"),
         "fit": {"epochs": 7, "batch_size": 6,
                 "lr_schedule": {"type": "exponential_lr", "gamma": 0.9}}},
        {"name": "fit-cosine", "batches": classes(),
         "model": model("fit-cosine", net(4, 6, 3), "cross_entropy",
                        sgd(0.1, momentum=0.5, nesterov=True, weight_decay=0.01)),
         "fit": {"epochs": 13, "batch_size": 10, "shuffle": True, "seed": 1099511627781,
                 "lr_schedule": {"type": "cosine_annealing_lr", "T_max": 4, "eta_min": 0.01}}},
        {"name": "fit-sum", "batches": regression(),
         "model": model("fit-sum", net(3, 4, 1), {"type": "mse", "reduction": "sum"}, sgd(0.01)),
         "fit": {"epochs": 5, "batch_size": 1000, "shuffle": True, "validation_split": 0.1}},
        {"name": "fit-stops", "batches": classes(),
         "model": model("fit-stops", net(4, 8, 3), "cross_entropy", sgd(0.2)),
         "fit": {"epochs": 50, "batch_size": 15, "shuffle": True, "seed": 7,
                 "validation_split": 0.4,
                 "early_stopping": {"patience": 3, "min_delta": 0.02}}},
        {"name": "fit-one-row", "batches": iris([1, 1], False),
         "model": model("fit-one-row", net(3, 2, 1), "l1", sgd(0.05), "float64"),
         "fit": {"epochs": 4, "batch_size": 1, "shuffle": True, "validation_split": 0.5}},
        {"name": "fit-rows-alone", "batches": regression(),
         "model": model("fit-rows-alone", net(3, 4, 1), "smooth_l1", sgd(0.05, momentum=0.3)),
         "fit": {"epochs": 3, "batch_size": 1, "shuffle": True, "seed": 11,
                 "early_stopping": {"patience": 1}}},
    ]


def golden_case(case):
    dtype = case["model"]["dtype"]
    result = run(case, getattr(torch, dtype))
    return {"name": case["name"], "model": case["model"], "fit": case["fit"],
            "batches": [{"inputs": gen_golden.as_stored(i, dtype),
                         "targets": gen_golden.as_stored(t, dtype)} for i, t in case["batches"]],
            **{k: v for k, v in result.items() if k != "initial"},
            "tolerance": tolerance_of(case, result)}


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    write_json(os.path.join(gen_golden.GOLDEN, "fit.json"), [golden_case(c) for c in cases()])


if __name__ == "__main__":
    main()
