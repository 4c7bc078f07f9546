#!/usr/bin/env python3
"""make_store_v4.py GRADD - writes store_v4.sql and store_v4.json: a file of version 4, whose journal
has a row a change, as a killed daemon left it, and what that daemon answered.

GRADD is a daemon of that time (commit b7e8f2a). Made once; what it wrote must be read for ever.
"""
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
NET = {"id": "net", "loss": "mse", "seed": 5,
       "optimizer": {"type": "sgd", "lr": 0.1, "momentum": 0.9},
       "layers": [{"type": "linear", "in_features": 2, "out_features": 3}, {"type": "tanh"},
                  {"type": "linear", "in_features": 3, "out_features": 1}]}


class Daemon:
    def __init__(self, path):
        self.process = subprocess.Popen([sys.argv[1], "--listen", "127.0.0.1:0", "--data", path],
                                        stderr=subprocess.PIPE, text=True)
        at = None
        while not at:
            at = re.search(r"127\.0\.0\.1:[1-9]\d*", self.process.stderr.readline())
        self.base = "http://" + at.group(0)

    def ask(self, method, target, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + target, data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait()


def main():
    path = os.path.join(tempfile.mkdtemp(), "old.db")
    daemon = Daemon(path)
    daemon.ask("POST", "/models", NET)
    daemon.ask("POST", "/models", dict(NET, id="fresh"))
    for x in (0.5, 1.5, 2.5):
        batch = {"inputs": [[x, 1], [1, -x]], "targets": [[1], [-1]]}
        daemon.ask("POST", "/models/net/batches", batch)
    daemon.ask("POST", "/models/net/step", {"steps": 5})
    daemon.ask("POST", "/models/net/checkpoints", {"label": "five"})
    daemon.ask("POST", "/models/net/step", {"inputs": [[0.5, 0.25]], "targets": [[1]]})
    large = {"inputs": [[0.5, -0.5]] * 1500, "targets": [[0.25]] * 1500}  # in chunks
    daemon.ask("POST", "/models/net/step", large)
    daemon.end(signal.SIGTERM)  # all of this lies in the table `journal` …
    daemon = Daemon(path)
    daemon.ask("PATCH", "/models/net", {"optimizer": {"lr": 0.05}})
    daemon.ask("POST", "/models/net/step", {"steps": 2})
    daemon.ask("DELETE", "/models/net/batches/2")
    daemon.ask("POST", "/models/fresh/step", {"inputs": [[0.5, 0.25]], "targets": [[1]]})
    daemon.ask("POST", "/models/net/step", large)
    daemon.ask("POST", "/models/net/backward", {})
    said = {part: json.loads(daemon.ask("GET", "/models/net" + part))
            for part in ("", "/parameters", "/gradients", "/losses", "/checkpoints", "/batches/3")}
    daemon.end(signal.SIGKILL)  # … and this in the front

    db = sqlite3.connect(path)
    with open(os.path.join(HERE, "store_v4.sql"), "w") as out:
        out.write("-- a file of version 4, by make_store_v4.py\n")
        out.writelines(line + "\n" for line in db.iterdump())
        out.write("PRAGMA application_id = 0x67726164;\nPRAGMA user_version = 4;\n")
    with open(os.path.join(HERE, "store_v4.json"), "w") as out:
        out.write("{" + ",\n ".join(json.dumps(k) + ": " + json.dumps(v)
                                  for k, v in said.items()) + "}\n")


main()
