#!/usr/bin/python3 -B
"""durability.py GRADD LOAD FOLDER [--quick] - what it costs to keep what is acknowledged.

Steps a second and the time that an answer takes, in each mode of durability, side by side: one
daemon has the same models in every mode, and the modes take turns, a block of load each, in rounds;
ratios are to `none`, and taken within a round. The load (bench_load.c) shares the cores with the
daemon. Before a row is printed, as many steps as were acknowledged must have been made.
Prints rows (rows.py).
"""
import random
import sys

from daemon import Connection, Daemon, request_bytes
from load import loaded
from models import LINE, classifier
from rows import print_row, spread

MODES = ["none", "process", "power"]
# At most 1.3 times the time of a step that is not kept.
TARGET = round(1 / 1.3, 3)


def line_batch():
    xs = [random.uniform(0, 100) for _ in range(1000)]
    return {"inputs": [[x] for x in xs], "targets": [[10 * x + 4 + random.random()] for x in xs]}


def class_batch():
    return {"inputs": [[random.randrange(256) / 256 for _ in range(784)] for _ in range(32)],
            "targets": [random.randrange(10) for _ in range(32)]}


SUBJECTS = [("line 1000 × 1", LINE, line_batch),
            ("784-128-10 batch 32", classifier("b32", 784, 128, 10), class_batch)]
# connections, models, target of process
LOADS = [(1, 1, None), (64, 64, TARGET), (64, 4, TARGET)]
# of a load's line; whether more is better
FIGURES = [("rate", "steps a second", "/s", True), ("p50", "median of an answer", "µs", False),
           ("p99", "99 % of answers within", "µs", False)]


class Load:
    """Connections to models of one mode."""

    def __init__(self, connection, subject, batch, mode, connections, models):
        self.connection = connection
        self.answered = 0
        self.rounds = []
        self.ids = [f"{subject['id']}-{connections}-{models}-{mode}-{n}" for n in range(models)]
        self.connections = connections
        self.requests = [request_bytes("POST", f"/models/{name}/step") for name in self.ids]
        for name in self.ids:
            connection.ask("POST", "/models", subject | {"id": name, "durability": mode})
            connection.exchange(request_bytes("POST", f"/models/{name}/batches", batch))

    def run(self, program, port, seconds):
        self.rounds.append(loaded(program, port, seconds, self.connections, self.requests))
        self.answered += self.rounds[-1]["answered"]

    def check(self):
        """A step that was acknowledged and not made, or the other way round, ends the bench."""
        made = sum(self.connection.ask("GET", f"/models/{name}")["step"] for name in self.ids)
        if made != self.answered:
            sys.exit(f"{self.ids[0]}: {made} steps, {self.answered} were acknowledged")

    def delete(self):
        for name in self.ids:
            self.connection.exchange(request_bytes("DELETE", f"/models/{name}"))

    def values(self, key):
        return [result[key] for result in self.rounds]


def report(what, mode, load, none, target):
    for key, name, unit, more in FIGURES:
        ours, theirs = load.values(key), none.values(key)
        ratios = [a / b if more else b / a for a, b in zip(ours, theirs)]
        print_row("durability", f"{name}, {what}, {mode}", "durability none", unit, spread(ours),
                  spread(theirs), spread(ratios), target if key == "rate" else None)


def measure(connection, program, port, case, shape, rounds, seconds):
    what, subject, make_batch = case
    connections, models, target = shape
    batch = make_batch()
    loads = [Load(connection, subject, batch, mode, connections, models) for mode in MODES]
    for n in range(rounds):
        for turn in range(len(MODES)):
            loads[(n + turn) % len(MODES)].run(program, port, seconds)
    what += f", {connections} connection{'s' if connections > 1 else ''}"
    what += f" on {models} models" if models > 1 else ""
    for mode, load in zip(MODES, loads):
        load.check()
        if mode != "none":
            report(what, mode, load, loads[0],
                   ["ratio", ">=", target] if target and mode == "process" else None)
        load.delete()


def main():
    binary, program, folder = sys.argv[1:4]
    rounds, seconds = (3, 0.2) if "--quick" in sys.argv[4:] else (15, 0.5)
    random.seed(1)
    with Daemon(binary, folder) as daemon:
        connection = Connection(daemon.port)
        for case in SUBJECTS:
            for shape in LOADS:
                measure(connection, program, daemon.port, case, shape, rounds, seconds)
        connection.close()


main()
