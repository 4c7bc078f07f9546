#!/usr/bin/python3 -B
"""why.py BUILD FOLDER - where the daemon's time goes under the loads that bench.py measures: its CPU
time of a request by part, as perf samples it, and what the cores have for one.

A part is a layer or a group of its files, a library, or the kernel. What is inlined counts where it
is called.
"""
import collections
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

from daemon import Connection, Daemon, request_bytes
from load import loaded
from models import classifier
from npy import NPY, npy

FREQUENCY = 1999  # samples a second of a core that is busy
SECONDS = 4
SETTLE_SECONDS = 0.5  # that perf takes to attach itself
CONNECTIONS = 16
MODELS = 4
SHOWN = 0.005  # of the whole, at least
SAMPLED = 0.9  # of the CPU time that the kernel counts, at least

LAYERS = ["engine", "storage", "api", "server"]
# The object files of a part, by the first pattern that fits.
PARTS = [
    ("products", r"engine/(matmul|op_matmul)"),
    ("update, norm and digest", r"engine/(sweep|update|optim|pass|owed|deferred)"),
    ("the rest of the engine", r"engine/"),
    ("api", r"api/"),
    ("storage", r"storage/"),
    ("server", r"server/"),
]
LIBRARIES = [("kernel", r"kernel|\[k\]"), ("libmicrohttpd", r"libmicrohttpd"),
             ("SQLite", r"libsqlite3"), ("C library", r"libc\.so|libm\.so|vdso")]


def text_of(*command):
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout


def first_fit(patterns, text):
    return next((part for part, pattern in patterns if re.search(pattern, text)), None)


def parts_of(build):
    """The part of each function of gradd."""
    found = {}
    for library in LAYERS:
        for line in text_of("nm", "-A", "--defined-only", f"{build}/{library}.a").splitlines():
            place, kind, name = line.split()[0], *line.split()[-2:]
            if kind in "tT":
                part = first_fit(PARTS, f"{library}/{place.split(':')[1]}")
                name = name.split(".")[0]
                found[name] = part if found.get(name, part) == part else "names of several parts"
    return found


def part_of(shared_object, symbol, binary, parts):
    if shared_object == os.path.basename(binary):
        return parts.get(symbol, "the rest of gradd")
    return first_fit(LIBRARIES, shared_object) or "other libraries"


class Profile:
    """As a context: samples a process. Afterwards, seconds of CPU by part."""

    def __init__(self, daemon, binary, data):
        self.daemon, self.binary, self.data = daemon, binary, data

    def __enter__(self):
        self.perf = subprocess.Popen(
            ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(FREQUENCY), "-o", self.data,
             "-p", str(self.daemon.process.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(SETTLE_SECONDS)
        self.cpu_seconds = -self.daemon.cpu_seconds()
        return self

    def __exit__(self, *_):
        self.cpu_seconds += self.daemon.cpu_seconds()
        self.perf.send_signal(signal.SIGINT)
        self.perf.wait()

    def seconds(self, parts):
        report = ""
        if os.path.exists(self.data):
            report = text_of("perf", "report", "-i", self.data, "--stdio", "-q", "-n", "-F",
                             "sample,dso,sym", "-t", "|")
        seconds = collections.Counter()
        for line in report.splitlines():
            cells = [cell.strip() for cell in line.split("|")]
            if len(cells) < 3 or not cells[0].isdigit():
                continue
            symbol = cells[2].split("] ")[-1].split(".")[0]  # without what the compiler adds
            seconds[part_of(cells[1], symbol, self.binary, parts)] += int(cells[0]) / FREQUENCY
        if sum(seconds.values()) < SAMPLED * self.cpu_seconds:  # not the kernel's time, for one
            sys.exit(f"perf saw {sum(seconds.values()):.2f} s of {self.cpu_seconds:.2f}: "
                     "see kernel.perf_event_paranoid")
        return seconds


def show(what, cores, answered, rate, seconds):
    total = sum(seconds.values())
    print(f"{what}: {rate:.0f} a second. Of one, {cores} cores have {1e6 * cores / rate:.0f} µs, and "
          f"the daemon takes {1e6 * total / answered:.0f}:")
    for part, of_it in seconds.most_common():
        if of_it >= SHOWN * total:
            print(f"    {1e6 * of_it / answered:9.1f} µs {100 * of_it / total:5.1f} %  {part}")
    print(flush=True)


def picture(n=784):
    return [round(random.random(), 8) for _ in range(n)]


def prepare(daemon, model, count, rows):
    connection = Connection(daemon.port)
    size = model["layers"][0]["in_features"]
    classes = model["layers"][-1]["out_features"]
    for n in range(count):
        connection.ask("POST", "/models", model | {"id": f"m{n}", "seed": n})
        if rows:
            connection.ask("POST", f"/models/m{n}/batches",
                           {"inputs": [picture(size) for _ in range(rows)],
                            "targets": [random.randrange(classes) for _ in range(rows)]})
    connection.close()


# what, model, how many of it, rows of the batch that is pushed, connections, a request by number
LOADS = [
    ("POST …/step, 784-128-10 batch 32, 4 models, 16 connections", classifier("", 784, 128, 10),
     MODELS, 32, CONNECTIONS, lambda n: request_bytes("POST", f"/models/m{n}/step")),
    ("forward 784-128-10 batch 1, JSON, 16 connections", classifier("", 784, 128, 10), 1, 0,
     CONNECTIONS,
     lambda n: request_bytes("POST", f"/models/m{n}/forward", {"inputs": [picture()]})),
    ("forward 784-128-10 batch 1, .npy, 16 connections", classifier("", 784, 128, 10), 1, 0,
     CONNECTIONS,
     lambda n: request_bytes("POST", f"/models/m{n}/forward", npy([picture()]), NPY)),
    ("forward 25088-4096 batch 1, .npy, 1 connection", classifier("", 25088, 4096), 1, 0, 1,
     lambda n: request_bytes("POST", f"/models/m{n}/forward", npy([picture(25088)]), NPY)),
]


def measure(load, build, folder, parts):
    what, model, count, rows, connections, request = load
    binary, program = f"{build}/gradd", f"{build}/tests/bench/bench_load"
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(Daemon(binary, folder))
        prepare(daemon, model, count, rows)
        requests = [request(n) for n in range(count)]
        loaded(program, daemon.port, 1, connections, requests)  # caches, and what is made once
        data = os.path.join(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)), "data")
        with Profile(daemon, binary, data) as profile:
            got = loaded(program, daemon.port, SECONDS, connections, requests)
        seconds = profile.seconds(parts)
    show(what, len(os.sched_getaffinity(0)), got["answered"], got["rate"], seconds)


def main():
    build, folder = sys.argv[1:3]
    os.makedirs(folder, exist_ok=True)
    random.seed(1)
    parts = parts_of(build)
    for load in LOADS:
        measure(load, build, folder, parts)


main()
