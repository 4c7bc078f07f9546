"""The daemon's answer to a case, in the form that case.py describes."""
import json
import os
import sys

from case import first_part, graph_text, masked

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
from daemon import Connection, Daemon, request_bytes


def flat(data):
    return [x for item in data for x in flat(item)] if isinstance(data, list) else [data]


def value_of(x):
    if not isinstance(x, dict) or "data" not in x:
        return x
    return {key: x.get(key) for key in ("dtype", "shape", "requires_grad", "grad_fn")} | \
        {"data": flat(x["data"])}


def graph_of(graph):
    """Its texts; an edge leads from a node to where the gradient of its input goes."""
    names = {node["id"]: node["name"] for node in graph["nodes"]}
    inputs = {node: [] for node in names}
    for edge in sorted(graph["edges"], key=lambda e: e["input"]):
        inputs[edge["from"]].append(edge["to"])
    return graph_text(names, names.get, inputs.get)


def read(status, body):
    answer = {"values": {}, "graph": [], "error": None, "stdout": masked(body.get("stdout", "")),
              "warnings": [first_part(w["message"]) for w in body.get("warnings", [])]}
    if status == 200:
        answer["values"] = {e: value_of(x) for e, x in body["values"].items()}
        answer["graph"] = graph_of(body["graph"]) if "graph" in body else []
    else:
        answer["error"] = {"type": body.get("type"), "line": body.get("line", 0),
                           "message": first_part(body.get("detail", ""))}
    return answer


class Side:
    """A daemon that is started again should it die."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.daemon = self.connection = None
        self.deaths = 0

    def __enter__(self):
        self.start()
        return self

    def start(self):
        self.daemon = Daemon(self.binary, self.folder)
        self.connection = Connection(self.daemon.port)

    def __exit__(self, *_):
        self.connection.close()
        self.daemon.__exit__()

    def exchange(self, case):
        """(status, body)"""
        request = request_bytes("POST", "/autograd", case.request())
        head, text = self.connection.exchange(request)
        return int(head.split()[1]), json.loads(text)

    def answer(self, case):
        try:
            return read(*self.exchange(case))
        except (OSError, RuntimeError) as e:
            self.deaths += 1
            self.__exit__()
            self.start()
            return read(500, {"detail": f"the daemon died: {e}"})
