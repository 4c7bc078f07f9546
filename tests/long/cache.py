#!/usr/bin/python3 -B
"""cache.py BINARY FOLDER [large] [small] - more models than the memory for them, in earnest: 200 of
4 MB and 100,000 of ten parameters, all trained in turn. Prints throughput, the memory's curve and
how long a model takes to come back; fails if the memory grows or is not accounted for.
Takes some minutes and a few GB in FOLDER."""
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
from daemon import Connection, Daemon, request_bytes  # noqa: E402

MIB = 1 << 20
failures = []


def check(holds, what):
    if not holds:
        failures.append(what)
        print("FAILED:", what)


def memory(c):
    """The daemon's own account, checked against the kernel's. It is no snapshot: a checkpoint that
    is just being copied may be in one and not in the other, but not for long."""
    for attempt in range(3):
        m = c.ask("GET", "/memory")
        share = sum(m["classes"].values()) / m["rss"]
        if 0.95 < share < 1.05 and m["classes"]["other"] < 4 * MIB:
            return m
        time.sleep(0.1)
    check(False, f"the classes are {share:.3f} of the rss: {m}")
    return m


def create(c, number, side_in, side_out):
    c.ask("POST", "/models", {"id": f"m{number}", "loss": "mse", "layers": [
        {"type": "linear", "in_features": side_in, "out_features": side_out}]})


def tell(what, c, count=0, seconds=0):
    m = memory(c)
    rate = f"{count / seconds:9.1f} /s" if count else " " * 12
    print(f"{what:8} {rate}   rss {m['rss'] / MIB:7.1f} MiB   models "
          f"{m['models']['bytes'] / MIB:7.1f} MiB   resident {m['models']['resident']:6}   "
          f"allocator {m['classes']['allocator'] / MIB:5.1f} MiB", flush=True)
    return m


def in_turn(c, what, models, body):
    """One step of every model."""
    begin = time.monotonic()
    for i in range(models):
        head, _ = c.exchange(request_bytes("POST", f"/models/m{i}/step", body))
        check(head.startswith(b"HTTP/1.1 200"), head)
    return tell(what, c, models, time.monotonic() - begin)


def come_back(c, models, asked):
    """Models that have not been used for long, one after the other."""
    took = []
    for i in random.Random(1).sample(range(models // 2), asked):
        request = request_bytes("GET", f"/models/m{i}")
        begin = time.perf_counter()
        c.exchange(request)
        took.append((time.perf_counter() - begin) * 1000)
    took.sort()
    print(f"to come back: median {took[len(took) // 2]:.2f} ms, "
          f"one in a hundred {took[len(took) * 99 // 100]:.2f} ms", flush=True)


def rounds_of(c, models, rounds, body, budget):
    rss = [in_turn(c, f"round {r + 1}", models, body)["rss"] for r in range(rounds)]
    check(rss[-1] < 1.05 * rss[1], f"the memory grows: {rss}")
    m = memory(c)
    check(m["models"]["bytes"] <= budget, f"over the budget: {m['models']}")
    time.sleep(8)  # the checkpoints in the background
    tell("at rest", c)
    come_back(c, models, min(models // 2, 1000))


def large(binary, folder):
    models, side, budget = 200, 1024, 100 * MIB
    print(f"{models} models of {side * side * 4 / MIB:.0f} MiB, --memory {budget // MIB}M")
    with Daemon(binary, folder, "--memory", str(budget)) as d:
        c = Connection(d.port)
        begin = time.monotonic()
        for i in range(models):
            create(c, i, side, side)
        tell("created", c, models, time.monotonic() - begin)
        rounds_of(c, models, 5, {"inputs": [[0.5] * side], "targets": [[1] * side]}, budget)


def small(binary, folder):
    models, budget = 100000, 64 * MIB
    body = {"inputs": [[1, 2, 3, 4]], "targets": [[1, 0]]}
    print(f"{models} models of 10 parameters, with memory for all")
    with Daemon(binary, folder) as d:
        c = Connection(d.port)
        begin = time.monotonic()
        for i in range(models):
            create(c, i, 4, 2)
        tell("created", c, models, time.monotonic() - begin)
        for r in range(2):
            in_turn(c, f"round {r + 1}", models, body)
        time.sleep(20)
        m = tell("at rest", c)
        check(m["models"]["resident"] == models, "they are not all resident")
    print(f"the same number with --memory {budget // MIB}M")
    with Daemon(binary, folder, "--memory", str(budget)) as d:
        c = Connection(d.port)
        begin = time.monotonic()
        for i in range(models):
            create(c, i, 4, 2)
        tell("created", c, models, time.monotonic() - begin)
        rounds_of(c, models, 4, body, budget)


def main(binary, folder, *which):
    os.makedirs(folder, exist_ok=True)
    for run in [large, small]:
        if not which or run.__name__ in which:
            run(binary, folder)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
