"""Writes golden files: a key a line, a tensor a line, numbers that read back to the same bits."""
import json
import math

import numpy


def number(value):
    """The shortest decimal of the value's own type; a non-finite one is a string."""
    if isinstance(value, (bool, numpy.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, numpy.integer)):
        return str(int(value))
    if math.isnan(value):
        return '"NaN"'
    if math.isinf(value):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    text = str(value) if isinstance(value, numpy.floating) else repr(value)
    # A C reader goes through strtod: the detour over double must not change a float32.
    assert type(value)(float(text)) == value, text
    return text[:-2] if text.endswith(".0") else text


def tensor(array):
    if array.ndim == 0:
        return number(array[()])
    return "[" + ",".join(tensor(row) for row in array) + "]"


def text(value, indent=0):
    """Objects that hold tensors or objects are spread over lines, all else stays on one."""
    pad = " " * (indent + 1)
    if isinstance(value, numpy.ndarray):
        return tensor(value)
    if isinstance(value, (int, float, numpy.number)):
        return number(value)
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {text(item, indent + 1)}" for key, item in value.items()]
        if all(isinstance(item, (bool, int, float, str)) for item in value.values()):
            return "{" + ", ".join(items) + "}"
        return "{\n" + ",\n".join(pad + item for item in items) + "\n" + " " * indent + "}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = [pad + text(item, indent + 1) for item in value]
        return "[\n" + ",\n".join(items) + "\n" + " " * indent + "]"
    return json.dumps(value, ensure_ascii=False)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text(value) + "\n")
