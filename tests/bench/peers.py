"""Servers to be measured beside the daemon. Each prints its port as its first line and serves on
loopback until it is ended; one that cannot be had is OutOfReach."""
import json
import os
import select
import shutil
import subprocess
import sys

BENCH = os.path.dirname(os.path.abspath(__file__))
START_SECONDS = 60
INSTALL_SECONDS = 300


class OutOfReach(Exception):
    """What is missing, as a line."""


class Peer:
    """As a context: runs until its end."""

    def __init__(self, name, command, **environment):
        self.name = name
        try:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL"] + command,
                                            stdout=subprocess.PIPE, env=os.environ | environment)
        except OSError as error:
            raise OutOfReach(f"{name}: {error}") from error
        ready, _, _ = select.select([self.process.stdout], [], [], START_SECONDS)
        line = self.process.stdout.readline() if ready else b""
        if not line.strip().isdigit():
            self.__exit__()
            raise OutOfReach(f"{name} does not start")
        self.port = int(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def done(name, command, **environment):
    try:
        subprocess.run(command, check=True, timeout=INSTALL_SECONDS, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env=os.environ | environment)
    except (OSError, subprocess.SubprocessError) as error:
        raise OutOfReach(f"{name}: {error}") from error


def node_modules(name, folder):
    """Installs what the lock file names, once, and without running what it brings."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise OutOfReach(f"{name}: needs node and npm (packages nodejs and npm)")
    place = os.path.join(folder, "node")
    if not os.path.isdir(os.path.join(place, "node_modules", "onnxruntime-node")):
        os.makedirs(place, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(BENCH, "node", file), place)
        done(name, ["npm", "ci", "--ignore-scripts", "--prefix", place],
             ONNXRUNTIME_NODE_INSTALL="skip")
    return os.path.join(place, "node_modules")


def fastapi(model, models):
    return Peer("FastAPI + PyTorch", [os.path.join(BENCH, "peer_fastapi.py"), json.dumps(model),
                                      str(models)])


def node(model, folder):
    name = "Node + ONNX Runtime"
    modules = node_modules(name, folder)
    file = os.path.join(folder, "model.onnx")
    done(name, [os.path.join(BENCH, "onnx_model.py"), json.dumps(model), file])
    return Peer(name, ["node", os.path.join(BENCH, "node", "server.js"), file], NODE_PATH=modules)


def bare(build, answer_bytes):
    return Peer("bare libmicrohttpd", [os.path.join(build, "tests/bench/bench_bare"),
                                       str(answer_bytes)])


def started(stack, make, *arguments):
    """The peer, for as long as the stack of contexts is open; None after a line if it is out of
    reach."""
    try:
        return stack.enter_context(make(*arguments))
    except OutOfReach as error:
        print(f"skipped: {error}", file=sys.stderr, flush=True)
        return None
