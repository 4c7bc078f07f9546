#!/usr/bin/python3 -B
"""step.py GRADD FOLDER [--quick] [--large] - training steps of a daemon beside PyTorch's in this
process; with --large of a layer of 103 million parameters, and its forward.

Both train the same model from the same parameters on the same batch; before anything is timed,
their losses must agree. PyTorch is eager, on one thread, for the large layer on two, which is its
best here, and spared reading the loss; the daemon is as it ships. Prints rows (rows.py).
"""
import os
import sys

LARGE = "--large" in sys.argv
THREADS = 2 if LARGE else 1
# Before the import: else OpenBLAS takes all cores in spite of torch.set_num_threads(1), and a
# thread of OpenMP that waits takes one from whoever works.
os.environ.update({name + "_NUM_THREADS": str(THREADS) for name in ("OPENBLAS", "BLIS", "OMP")},
                  OMP_WAIT_POLICY="passive")

import json
import statistics
import subprocess
import time

import torch

BENCH = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(BENCH, "..", "data"))

from daemon import Connection, Daemon, request_bytes
from golden_net import build, loss_function, optimizer_of
from models import LINE, classifier
from npy import NPY, npy
from rows import print_row, spread

torch.set_num_threads(THREADS)
PEER = f"PyTorch eager in process, {THREADS} thread{'s' if LARGE else ''}"
CHECKED_STEPS = 3 if LARGE else 20
STEPS_MAX = 1000000  # of one request


def line_batch():
    x = torch.rand(1000, 1) * 100
    return x, 10 * x + 4 + torch.rand(1000, 1)


def class_batch(rows, n=784, classes=10):
    return lambda: (torch.rand(rows, n), torch.randint(classes, (rows,)))


# what, model, batch, targets, each None if it is not measured, of a step inside, of a step a
# request, of a forward a request
LARGE_CASES = [
    ("25088-4096 batch 1", classifier("l1", 25088, 4096), class_batch(1, 25088, 4096), 5, None,
     1.8),
    ("25088-4096 batch 32", classifier("l32", 25088, 4096), class_batch(32, 25088, 4096), 2.2, None,
     None),
]
CASES = LARGE_CASES if LARGE else [
    ("line 1000 × 1", LINE, line_batch, 50, 1, None),
    ("784-128-10 batch 1", classifier("b1", 784, 128, 10), class_batch(1), 10, None, None),
    ("784-128-10 batch 32", classifier("b32", 784, 128, 10), class_batch(32), 4, 1, None),
    ("784-128-10 batch 256", classifier("b256", 784, 128, 10), class_batch(256), 1.8, None, None),
    ("784-512-512-10 batch 64", classifier("deep", 784, 512, 512, 10), class_batch(64), 2.2, None,
     None),
]


class Torch:
    """The step in this process."""

    def __init__(self, model, batch):
        self.net = build(model, torch.float32)
        self.loss = loss_function(model["loss"])
        self.optimizer = optimizer_of(model["optimizer"], self.net)
        self.inputs, self.targets = batch

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.net(self.inputs), self.targets)
        loss.backward()
        self.optimizer.step()
        return loss

    def steps(self, count):
        for _ in range(count):
            self.step()

    def forward(self):
        with torch.inference_mode():
            self.net(self.inputs)


class Gradd:
    """The step in a daemon."""

    def __init__(self, connection, model, batch):
        inputs, targets = batch
        self.connection = connection
        self.path = f"/models/{model['id']}/step"
        self.one = request_bytes("POST", self.path)
        forward = "POST", f"/models/{model['id']}/forward"
        self.forward_one = request_bytes(*forward, {"inputs": inputs.tolist()})
        self.forward_one_npy = request_bytes(*forward, npy(inputs), NPY)
        connection.ask("POST", "/models", model | {"seed": 0})
        connection.ask("POST", f"/models/{model['id']}/batches",
                       {"inputs": inputs.tolist(), "targets": targets.tolist()})

    def losses(self, count):
        return self.connection.ask("POST", self.path, {"steps": count})["losses"]

    def exchange(self, request):
        head, body = self.connection.exchange(request)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(body[:500].decode())

    def step(self):
        self.exchange(self.one)

    def steps(self, count):
        self.exchange(request_bytes("POST", self.path, {"steps": count}))

    def forward(self):
        self.exchange(self.forward_one)

    def forward_npy(self):
        self.exchange(self.forward_one_npy)

    def delete(self):
        self.connection.exchange(request_bytes("DELETE", self.path.removesuffix("/step")))


def check(what, ours, peer):
    """The first steps, which are none of those measured: a fast wrong one ends the bench."""
    for n, (mine, theirs) in enumerate(zip(ours.losses(CHECKED_STEPS),
                                           [peer.step().item() for _ in range(CHECKED_STEPS)])):
        if not abs(mine - theirs) <= 1e-4 * abs(theirs):
            sys.exit(f"{what}: loss {n} is {mine}, PyTorch's is {theirs}")


def elapsed(call, *arguments):
    """In microseconds."""
    start = time.perf_counter_ns()
    call(*arguments)
    return (time.perf_counter_ns() - start) / 1000


def mean_of_block(contender, block):
    """A function that times one block of steps, and gives one step's part of it."""
    count = 1
    while elapsed(contender.steps, count) < block and 2 * count <= STEPS_MAX:
        count *= 2
    return lambda: elapsed(contender.steps, count) / count


def median_of_block(call, block):
    """A function that times each call of a block, and gives their median."""
    count = max(5, round(block / statistics.median(elapsed(call) for _ in range(CHECKED_STEPS))))
    return lambda: statistics.median(elapsed(call) for _ in range(count))


def hop(program):
    """How long a cache line takes from a core to another now, in nanoseconds."""
    done = subprocess.run([program], capture_output=True, check=True, encoding="utf-8")
    return json.loads(done.stdout)["figure"][1]


def compare(what, ours, peer, rounds, target, hopper=None):
    """In turns, each beginning every other round; ratios are taken within a round. hopper: the
    program that says how near the cores are to each other, which changes by the second."""
    mine, theirs, hops = [], [], []
    for n in range(rounds):
        for timer, times in ((ours, mine), (peer, theirs))[::-1 if n % 2 else 1]:
            times.append(timer())
            if hopper and timer is ours:
                hops.append(hop(hopper))
    ratios = [b / a for a, b in zip(mine, theirs)]
    if hopper:
        print_row("step", f"{what}: a cache line's way between cores meanwhile", None, "ns",
                  spread(hops), None, None, None)
    print_row("step", what, PEER, "µs", spread(mine), spread(theirs), spread(ratios),
              ["ratio", ">=", target] if target else None)


def warn_of_another_blas():
    with open("/proc/self/maps", encoding="utf-8") as maps:
        if "openblas" not in maps.read():
            print("step.py: PyTorch does not use OpenBLAS here: it is slower than it could be",
                  file=sys.stderr)


def measure(case, connection, rounds, block, hopper):
    what, model, make_batch, inside, requested, forward = case
    torch.manual_seed(1)
    batch = make_batch()
    ours, peer = Gradd(connection, model, batch), Torch(model, batch)
    check(what, ours, peer)
    compare(f"step inside, {what}", mean_of_block(ours, block), mean_of_block(peer, block),
            rounds, inside, hopper)

    def compare_requests(request, call, peer_call, target):
        compare(f"one POST …/{request}, {what}", median_of_block(call, block),
                median_of_block(peer_call, block), rounds, target)

    if requested:
        compare_requests("step", ours.step, peer.step, requested)
    if forward:  # the peer has its numbers as numbers, as has a client who sends an .npy
        compare_requests("forward of an .npy", ours.forward_npy, peer.forward, forward)
        compare_requests("forward", ours.forward, peer.forward, None)
    ours.delete()


def main():
    binary, folder = sys.argv[1:3]
    quick = "--quick" in sys.argv[3:]
    rounds, block = (5, 1e5) if quick else (21, 2.5e5)  # microseconds
    if LARGE:
        rounds = 3 if quick else 9
    hopper = os.path.join(os.path.dirname(binary), "tests", "bench", "bench_hop")
    if len(os.sched_getaffinity(0)) < 2:
        hopper = None
    warn_of_another_blas()
    with Daemon(binary, folder) as daemon:
        connection = Connection(daemon.port)
        for case in CASES:
            measure(case, connection, rounds, block, hopper)
        connection.close()


main()
