#!/usr/bin/env python3
"""make_store_v2.py GRADD - writes store_v2.sql and store_v2.json: a file of version 2, from before
the journal, and what its daemon answered.

GRADD is a daemon of that time (commit 724943b). Made once; what it wrote must be read for ever.
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
FAR = 4102444800000  # in the year 2100, so that the kept answer is never too old


def crc32c(data, before=0):
    """storage/checksum.h"""
    r = before ^ 0xFFFFFFFF
    for byte in data:
        r ^= byte
        for _ in range(8):
            r = r >> 1 ^ (0x82F63B78 if r & 1 else 0)
    return r ^ 0xFFFFFFFF


def seal(*fields):
    r = 0
    for field in fields:
        text = field.encode() if isinstance(field, str) else None
        r = crc32c((field if text is None else len(text)).to_bytes(8, "little", signed=True), r)
        if text is not None:
            r = crc32c(text, r)
    return r


def main():
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "old.db")
    daemon = subprocess.Popen([sys.argv[1], "--listen", "127.0.0.1:0", "--data", path],
                              stderr=subprocess.PIPE, text=True)
    at = None
    while not at:
        at = re.search(r"127\.0\.0\.1:[1-9]\d*", daemon.stderr.readline())
    base = "http://" + at.group(0)

    def ask(method, target, body=None, **headers):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(base + target, data, headers, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    net = {"id": "net", "loss": "mse", "seed": 5,
           "optimizer": {"type": "sgd", "lr": 0.1, "momentum": 0.9},
           "layers": [{"type": "linear", "in_features": 2, "out_features": 3}, {"type": "tanh"},
                      {"type": "linear", "in_features": 3, "out_features": 1}]}
    ask("POST", "/models", net)
    ask("POST", "/models", dict(net, id="fresh"))
    for x in (0.5, 1.5, 2.5):
        ask("POST", "/models/net/batches", {"inputs": [[x, 1], [1, -x]], "targets": [[1], [-1]]})
    ask("POST", "/models/net/step", {"steps": 5})
    ask("POST", "/models/net/checkpoints", {"label": "five"})
    kept = ask("POST", "/models/net/step", {"steps": 2}, **{"Idempotency-Key": "kept"})
    ask("DELETE", "/models/net/batches/2")
    ask("POST", "/models/net/backward", {})
    said = {part: json.loads(ask("GET", "/models/net" + part))
            for part in ("", "/parameters", "/gradients", "/losses", "/checkpoints", "/batches/3")}
    said["kept"] = kept
    daemon.send_signal(signal.SIGTERM)
    daemon.wait()

    db = sqlite3.connect(path)
    row = db.execute("SELECT key, request, status, location, first_chunk, bytes, digest"
                     " FROM answers").fetchone()
    db.execute("UPDATE answers SET created_at = ?, seal = ?",
               (FAR, seal(*row[:4], FAR, *row[4:])))
    with open(os.path.join(HERE, "store_v2.sql"), "w") as out:
        out.write("-- a file of version 2, by make_store_v2.py\n")
        out.writelines(line + "\n" for line in db.iterdump())
        out.write("PRAGMA application_id = 0x67726164;\nPRAGMA user_version = 2;\n")
    with open(os.path.join(HERE, "store_v2.json"), "w") as out:
        out.write("{" + ",\n ".join(json.dumps(k) + ": " + json.dumps(v)
                                  for k, v in said.items()) + "}\n")


main()
