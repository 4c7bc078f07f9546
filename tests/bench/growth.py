#!/usr/bin/python3 -B
"""growth.py GRADD FOLDER [--quick] - how times grow with what there is: the exponent e of the fit
time = c · n^e over some decades of n. Nothing but what is asked for itself should cost time, so all
are to be about 0. All n take turns, in rounds, and a fit is made of each round. Prints rows
(rows.py); the times of each n are rows without a target."""
import contextlib
import itertools
import math
import statistics
import sys
import time

from daemon import Connection, Daemon, request_bytes
from models import LINE, create_many
from rows import print_row, spread

FLAT = 0.1
STEPS_A_REQUEST = 1000000
LOSSES_A_REQUEST = 100000  # at most
STEP = {"inputs": [[0.5] * 9], "targets": [[1.0]]}


def exponent(sizes, times):
    """The slope of the least squares line through the logarithms."""
    x, y = [math.log(n) for n in sizes], [math.log(t) for t in times]
    mx, my = statistics.fmean(x), statistics.fmean(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y)) / sum((a - mx) ** 2 for a in x)


def grow(what, against, timers, rounds):
    """timers: n to a function that gives a time in microseconds."""
    sizes = list(timers)
    times = {n: [] for n in sizes}
    for k in range(rounds):
        for n in sizes[::-1 if k % 2 else 1]:
            times[n].append(timers[n]())
    for n in sizes:
        print_row("growth", f"{what}, {n} {against}", None, "µs", spread(times[n]), None, None,
                  None, [n, f"{what}, by {against}"])
    exponents = [exponent(sizes, [times[n][k] for n in sizes]) for k in range(rounds)]
    print_row("growth", f"{what}, against {against}: exponent", None, None, spread(exponents), None,
              None, ["figure", "<=", FLAT])


def median_time(connection, requests, count):
    """Of so many of the requests, in microseconds."""
    times = []
    for request in itertools.islice(requests, count):
        begin = time.perf_counter_ns()
        head, body = connection.exchange(request)
        times.append((time.perf_counter_ns() - begin) / 1000)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(body[:500].decode())
    return statistics.median(times)


def timer(connection, requests, count, per=1):
    endless = itertools.cycle(requests)
    return lambda: median_time(connection, endless, count) / per


# ---- against what -------------------------------------------------------------------------------

def models_resident(binary, folder, decades, rounds):
    """A daemon for each number of models; steps of all in turn."""
    with contextlib.ExitStack() as stack:
        timers = {}
        for n in decades:
            daemon = stack.enter_context(Daemon(binary, folder))
            connection = Connection(daemon.port)
            create_many(connection, n, 9, 1)
            timers[n] = timer(connection, [request_bytes("POST", f"/models/m{k}/step", STEP)
                                           for k in range(n)], 100)
        grow("one POST …/step", "models resident", timers, rounds)


def train(connection, name, steps):
    """A new model that has made so many."""
    connection.ask("POST", "/models", LINE | {"id": name})
    connection.ask("POST", f"/models/{name}/batches", {"inputs": [[0.1]], "targets": [[5.0]]})
    for first in range(0, steps, STEPS_A_REQUEST):
        connection.exchange(request_bytes("POST", f"/models/{name}/step",
                                          {"steps": min(STEPS_A_REQUEST, steps - first)}))


def steps_recorded(connection, decades, rounds):
    steps, losses = {}, {}
    for n in decades:
        train(connection, f"s{n}", n)
        steps[n] = timer(connection, [request_bytes("POST", f"/models/s{n}/step")], 50)
        losses[n] = timer(connection, [request_bytes(
            "GET", f"/models/s{n}/losses?after={n // 2}&limit=100")], 50)
    grow("one POST …/step", "steps recorded", steps, rounds)
    grow("100 losses read", "steps recorded", losses, rounds)


def losses_read(connection, name, decades, rounds):
    timers = {n: timer(connection, [request_bytes("GET", f"/models/{name}/losses?limit={n}")],
                       max(5, 10000 // n), n)
              for n in decades}
    grow("time a loss", "losses read at a time", timers, rounds)


def main():
    binary, folder = sys.argv[1:3]
    quick = "--quick" in sys.argv[3:]
    rounds, models, steps = (3, 3, 5) if quick else (15, 4, 7)  # up to so many decades
    models_resident(binary, folder, [10 ** k for k in range(models + 1)], rounds)
    with Daemon(binary, folder) as daemon:
        connection = Connection(daemon.port)
        decades = [10 ** k for k in range(3, steps + 1)]
        steps_recorded(connection, decades, rounds)
        reads = [10 ** k for k in range(3, 6) if 10 ** k <= LOSSES_A_REQUEST]
        losses_read(connection, f"s{decades[-1]}", reads, rounds)
        connection.close()


main()
