#!/usr/bin/python3 -B
"""standing.py GRADD FOLDER [--quick] - what a daemon costs that does nothing yet: the time until it
is ready, its memory, and its share of a CPU. Prints rows (rows.py), of figures alone."""
import socket
import sys
import time

from daemon import Connection, Daemon, request_bytes
from models import create_many
from rows import print_row, spread

MANY = 10000
IDLE_MODELS = 1000
STREAMS = 100
BODY_BYTES = 64 << 20
KB, MB = 1e3, 1e6


def report(what, unit, values, limit):
    print_row("standing", what, None, unit, spread(values), None, None, ["figure", "<=", limit])


def milliseconds_to_ready(daemon):
    """Of a start on the files that are there, until it says that it is ready."""
    daemon.stop()
    begin = time.perf_counter()
    daemon.start()
    connection = Connection(daemon.port)
    connection.ask("GET", "/readyz")
    took = 1e3 * (time.perf_counter() - begin)
    connection.close()
    return took


def memory_of_body(daemon):
    """What is resident of a body all but one byte of which is there, by its bytes."""
    before = daemon.memory("VmRSS")
    body = b'{"layers":[' + b"0.12345678," * (BODY_BYTES // 11)
    request = request_bytes("POST", "/models", body)
    with socket.create_connection(("127.0.0.1", daemon.port)) as client:
        client.sendall(request[:-1])
        time.sleep(0.3)  # the last of it may still lie in the socket
        return (daemon.memory("VmHWM") - before) / len(body)


def resident(daemon, connection, count):
    """Bytes of a model, for each thousand of so many that came and made a step."""
    step = {"inputs": [[0.5] * 9], "targets": [[1.0]]}
    points = []
    for first in range(0, count, 1000):
        create_many(connection, 1000, 9, 1, first)
        for n in range(first, first + 1000):
            connection.exchange(request_bytes("POST", f"/models/m{n}/step", step))
        models = connection.ask("GET", "/memory")["models"]["resident"]
        points.append((models, daemon.memory("VmRSS")))
    return [(more - less) / (n - m) for (m, less), (n, more) in zip(points, points[1:])]


def open_streams(port):
    """Of events, of as many models."""
    streams = [Connection(port) for _ in range(STREAMS)]
    for n, stream in enumerate(streams):
        stream.socket.sendall(request_bytes("GET", f"/models/m{n}/events"))
        if not stream.receive().startswith(b"HTTP/1.1 200"):
            raise RuntimeError("no stream of events")
    return streams


def idle_shares(daemon, rounds, seconds):
    """Percent of a CPU."""
    shares = []
    for _ in range(rounds):
        begin, used = time.perf_counter(), daemon.cpu_seconds()
        time.sleep(seconds)
        shares.append(100 * (daemon.cpu_seconds() - used) / (time.perf_counter() - begin))
    return shares


def measure_empty(binary, folder, starts):
    idle, body = [], []
    with Daemon(binary, folder) as daemon:
        times = [milliseconds_to_ready(daemon) for _ in range(starts)]
        for _ in range(3):
            daemon.stop()
            daemon.start()
            idle.append(daemon.memory("VmRSS") / MB)
            body.append(memory_of_body(daemon))
    report("start to ready, empty", "ms", times, 30)
    report("resident memory, idle and empty", "MB", idle, 12)
    report(f"memory while a body of {BODY_BYTES / MB:.0f} MB comes in, of its bytes", "×", body, 1.2)


def measure_many(binary, folder, starts, count):
    with Daemon(binary, folder) as daemon:
        connection = Connection(daemon.port)
        report("memory of a resident model of 10 parameters", "kB",
               [size / KB for size in resident(daemon, connection, count)], 8)
        create_many(connection, MANY - count, 9, 1, count)
        connection.close()
        report(f"start to ready, {MANY} models", "ms",
               [milliseconds_to_ready(daemon) for _ in range(starts)], 150)


def measure_idle(binary, folder, rounds, seconds):
    with Daemon(binary, folder) as daemon:
        connection = Connection(daemon.port)
        create_many(connection, IDLE_MODELS, 9, 1)
        streams = open_streams(daemon.port)
        time.sleep(1)
        report(f"CPU of an idle daemon, {IDLE_MODELS} models, {STREAMS} event streams", "%",
               idle_shares(daemon, rounds, seconds), 0.05)
        for each in [connection] + streams:
            each.close()


def main():
    binary, folder = sys.argv[1:3]
    quick = "--quick" in sys.argv[3:]
    measure_empty(binary, folder, 5 if quick else 21)
    measure_many(binary, folder, *(5, 3000) if quick else (11, MANY))
    measure_idle(binary, folder, 3, 1 if quick else 16)  # each has a comment of the streams in it


main()
