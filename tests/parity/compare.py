"""Where two answers (case.py) differ. A difference is (kind, what), in words."""
import math
import re

from case import numbers, real

EXACT = (0.0, 0.0)
# relative to each number, and to the largest of the tensor: what sums cancel to cannot be better
TOLERANCE = {"float64": (1e-9, 1e-12), "float32": (1e-5, 1e-6)}


def close(got, want, relative, floor):
    got, want = real(got), real(want)
    if not math.isfinite(want):
        return got == want or math.isnan(want) and math.isnan(got)
    return abs(got - want) <= relative * abs(want) + floor


def largest(data):
    return max((abs(real(x)) for x in data if math.isfinite(real(x))), default=0.0)


def number_difference(got, want, relative, floor):
    for i, (g, w) in enumerate(zip(got, want)):
        if not close(g, w, relative, floor):
            return f"[{i}] is {g}, should be {w}"
    return None


def value_differences(name, got, want, tolerance, scale):
    """Of one returned expression; scale: what its numbers come of may be so large."""
    if not isinstance(want, dict) or not isinstance(got, dict):
        return [] if got == want else [("value", f"{name} is {got}, should be {want}")]
    found = [(key, f"{key} of {name} is {got[key]}, should be {want[key]}")
             for key in ("dtype", "shape", "requires_grad", "grad_fn") if got[key] != want[key]]
    if got["shape"] == want["shape"]:
        relative, share = tolerance if want["dtype"].startswith("float") else EXACT
        where = number_difference(got["data"], want["data"], relative,
                                  share * max(largest(want["data"]), scale))
        found += [("value", name + where)] if where else []
    return found


def scale_of(case, want, name):
    """What the numbers of a value come of may be this large, and leave its rounding in them: of a
    sample's derivative the gradient that came in; of a random program's value any other."""
    gradients = [largest(numbers(t)) for n, t in case.tensors.items() if re.fullmatch(r"g\d+", n)]
    if gradients:
        return max(gradients) if name.endswith(".grad") else 0.0
    if "loss" not in case.returns:
        return 0.0
    return max([1.0] + [largest(v["data"]) for v in want["values"].values() if v])


def tolerance_of(case, want):
    """A float32 on the way leaves its rounding in what comes of it."""
    dtypes = [str(t.dtype) for t in case.tensors.values()]
    dtypes += [v["dtype"] for v in want["values"].values() if isinstance(v, dict)]
    narrow = any("float32" in d for d in dtypes) or "float32" in case.program
    return TOLERANCE["float32" if narrow else "float64"]


def error_differences(got, want):
    if not want:
        return [("refused", f"line {got['line']}: {got['message']}")]
    if not got:
        return [("accepted", f"should fail: {want['type']}: {want['message']}")]
    if got["message"] != want["message"]:
        return [("words", f"says {got['message']!r}, should say {want['message']!r}")]
    if got["line"] != want["line"]:
        return [("line", f"fails in line {got['line']}, should in {want['line']}")]
    return []


def differences(case, got, want):
    if got["error"] or want["error"]:
        return error_differences(got["error"], want["error"])
    tolerance = tolerance_of(case, want)
    found = [d for name in case.returns
             for d in value_differences(name, got["values"].get(name, "absent"),
                                        want["values"][name], tolerance, scale_of(case, want, name))]
    if case.returns and got["graph"] != want["graph"]:
        found.append(("graph", f"the graph is {got['graph']}, should be {want['graph']}"))
    return found


def script_differences(got, want):
    """What a program prints, warns and fails with."""
    found = error_differences(got["error"], want["error"]) if got["error"] or want["error"] else []
    if got["stdout"] != want["stdout"]:
        found.append(("stdout", f"prints\n{got['stdout']}should print\n{want['stdout']}"))
    if not want["error"] and got["warnings"] != want["warnings"]:
        found.append(("warnings", f"warns {got['warnings']}, should warn {want['warnings']}"))
    return found
