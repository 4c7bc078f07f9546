#!/usr/bin/python3 -B
"""serve.py BUILD FOLDER [--quick] - requests a second of the daemon beside those of other servers.

All serve the same model with the same parameters on loopback, and are loaded by the same program
(bench_load.c) over as many connections, in turns, a block of load each, in rounds; ratios are taken
within a round. The load shares the cores with the servers. Before anything is timed, the outputs of
all must agree. Prints rows (rows.py).
"""
import concurrent.futures
import contextlib
import json
import random
import subprocess
import sys
import time

import numpy

import peers
from daemon import Connection, Daemon, request_bytes
from load import loaded
from models import classifier
from npy import NPY, npy
from rows import print_row, spread

CONNECTIONS = 16
MODELS = 4  # that are trained at a time
MODEL = classifier("mlp", 784, 128, 10)
FLOATS = "application/octet-stream"


class Contender:
    """A server under one kind of request."""

    def __init__(self, name, port, requests, target=None):
        self.name, self.port, self.requests, self.target = name, port, requests, target
        self.rates = []

    def run(self, program, seconds, connections):
        try:
            return loaded(program, self.port, seconds, connections, self.requests)["rate"]
        except subprocess.CalledProcessError:
            sys.exit(f"{self.name} failed under {connections} connections")

    def answer(self):
        """To its first request."""
        connection = Connection(self.port)
        head, body = connection.exchange(self.requests[0])
        connection.close()
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{self.name}: {head.decode()}\n{body[:500]}")
        return body


def outputs_of_json(body):
    return numpy.array(json.loads(body)["outputs"])


def outputs_of_floats(body):
    """The end of the body: an .npy has a head."""
    return numpy.frombuffer(body[-40:], dtype=numpy.float32).reshape(1, 10)


def check(contenders, outputs_of):
    """All but the last, which is bare, must give what the first gives."""
    ours = outputs_of(contenders[0].answer())
    for contender in contenders[1:]:
        if contender.name != "bare libmicrohttpd":
            theirs = outputs_of(contender.answer())
            if not numpy.allclose(ours, theirs, rtol=1e-4, atol=1e-5):
                sys.exit(f"{contender.name} gives {theirs}, gradd {ours}")


def compare(what, contenders, program, pace, connections=CONNECTIONS):
    """The first beside each of the others; targets are of so many connections only."""
    rounds, seconds = pace
    for contender in contenders:
        contender.rates = []
        contender.run(program, 2 * seconds, connections)  # a just-in-time compiler has seen it all
    for n in range(rounds):
        for contender in contenders[n % len(contenders):] + contenders[:n % len(contenders)]:
            contender.rates.append(contender.run(program, seconds, connections))
    ours = contenders[0]
    for peer in contenders[1:]:
        target = ["ratio", ">=", peer.target] if connections == CONNECTIONS else None
        print_row("serve", f"{what}, {connections} connection{'s' * (connections > 1)}", peer.name, "/s",
                  spread(ours.rates), spread(peer.rates),
                  spread([a / b for a, b in zip(ours.rates, peer.rates)]), target,
                  [connections, what])


# ---- the kinds of request -----------------------------------------------------------------------

def picture():
    """As float32 is written: eight digits or so."""
    return [[round(random.random(), 8) for _ in range(784)]]


def present(*contenders):
    """contenders: of those that are there, by name, peer, requests and target."""
    return [Contender(name, peer.port, [request], target)
            for name, peer, request, target in contenders if peer]


def forward_json(daemon, fastapi, node, bare):
    body = {"inputs": picture()}
    return present(
        ("gradd", daemon, request_bytes("POST", "/models/mlp/forward", body), None),
        ("FastAPI + PyTorch, pydantic", fastapi, request_bytes("POST", "/forward", body), 20),
        ("FastAPI + PyTorch, tuned", fastapi, request_bytes("POST", "/forward-tuned", body), 6),
        ("Node + ONNX Runtime", node, request_bytes("POST", "/forward", body), 3.5),
        ("bare libmicrohttpd", bare, request_bytes("POST", "/", body), 0.3))


def forward_binary(daemon, fastapi, node, bare):
    rows = picture()
    floats = numpy.array(rows, dtype=numpy.float32).tobytes()
    raw = request_bytes("POST", "/forward-binary", floats, FLOATS)
    ours = request_bytes("POST", "/models/mlp/forward", npy(rows), NPY)
    return present(("gradd", daemon, ours, None),
                   ("FastAPI + PyTorch, binary", fastapi, raw, 6),
                   ("Node + ONNX Runtime, binary", node, raw, 3),
                   ("bare libmicrohttpd", bare, ours, 0.5))


def takes(contender):
    """Does the daemon take this kind of body already?"""
    connection = Connection(contender.port)
    head, _ = connection.exchange(contender.requests[0])
    connection.close()
    return head.startswith(b"HTTP/1.1 200")


def steps(daemon, fastapi):
    connection = Connection(daemon.port)  # one that rested as long as the forwards took is closed
    batch = {"inputs": [picture()[0] for _ in range(32)],
             "targets": [random.randrange(10) for _ in range(32)]}
    for n in range(MODELS):
        connection.ask("POST", "/models", MODEL | {"id": f"m{n}"})
        connection.ask("POST", f"/models/m{n}/batches", batch)
    connection.close()
    ours = [request_bytes("POST", f"/models/m{n}/step") for n in range(MODELS)]
    theirs = [request_bytes("POST", f"/step/{n}") for n in range(MODELS)]
    return [Contender("gradd", daemon.port, ours),
            Contender("FastAPI + PyTorch", fastapi.port, theirs, 6)]


# ---- forwards while there is training -----------------------------------------------------------

def latency(program, seconds, port, forward, training=None):
    """The median of one client's forwards, in microseconds; training: what as many others ask for
    meanwhile as there are CONNECTIONS."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        steppers = None
        if training:
            steppers = pool.submit(loaded, program, port, 2 * seconds, CONNECTIONS, training)
            time.sleep(seconds / 2)
        taken = loaded(program, port, seconds, 1, [forward])["p50"]
        if steppers:
            steppers.result()
        return taken


def beside_steps(contenders, program, pace):
    """A forward's latency while contenders, the daemon and another, are trained; and while nothing
    else is at work."""
    ours, peer = contenders
    body = {"inputs": picture()}
    forward = ours.port, request_bytes("POST", "/models/mlp/forward", body)
    loads = {ours.name: forward + (ours.requests,),
             "the same, nothing else at work": forward,
             peer.name: (peer.port, request_bytes("POST", "/forward-tuned", body), peer.requests)}
    rounds, seconds = pace
    taken = {name: [] for name in loads}
    for _ in range(rounds):
        for name, load in loads.items():
            taken[name].append(latency(program, seconds, *load))
    mine = taken.pop(ours.name)
    for name, theirs in taken.items():
        print_row("serve", f"median latency of a forward beside {CONNECTIONS} steppers", name, "µs",
                  spread(mine), spread(theirs), spread([b / a for a, b in zip(mine, theirs)]), None)


def main():
    build, folder = sys.argv[1:3]
    quick = "--quick" in sys.argv[3:]
    pace = (3, 0.25) if quick else (15, 0.5)
    program = f"{build}/tests/bench/bench_load"
    random.seed(1)
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(Daemon(f"{build}/gradd", folder))
        connection = Connection(daemon.port)
        connection.ask("POST", "/models", MODEL | {"seed": 0})
        size = len(json.dumps(connection.ask("POST", "/models/mlp/forward", {"inputs": picture()})))
        connection.close()
        fastapi = peers.started(stack, peers.fastapi, MODEL, MODELS)
        node = peers.started(stack, peers.node, MODEL, folder)
        bare = peers.started(stack, peers.bare, build, size)
        contenders = forward_json(daemon, fastapi, node, bare)
        check(contenders, outputs_of_json)
        what = "forward 784-128-10 batch 1, JSON"
        compare(what, contenders, program, pace)
        for connections in () if quick else (1, 4, 64):
            compare(what, contenders, program, (5, pace[1]), connections)
        contenders = forward_binary(daemon, fastapi, node, bare)
        if takes(contenders[0]):
            check(contenders, outputs_of_floats)
            compare("forward 784-128-10 batch 1, binary", contenders, program, pace)
        else:
            print("skipped: the daemon takes no binary body for forward", file=sys.stderr)
        if fastapi:
            contenders = steps(daemon, fastapi)
            compare(f"POST …/step, 784-128-10 batch 32, {MODELS} models", contenders, program, pace)
            if not quick:
                beside_steps(contenders, program, pace)


main()
