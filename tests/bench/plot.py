#!/usr/bin/python3 -B
"""plot.py OUT - draws what OUT/bench.json holds: OUT/step.png, the time of a training step by the
size of the model; OUT/serve.png, requests a second by connections; OUT/growth.png, times by what
there is."""
import collections
import json
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

MEDIAN = 1


def draw_steps(axes, rows):
    rows = [row for row in rows if row["bench"] == "step" and row["peer"]]
    places = range(len(rows))
    axes.barh([p - 0.2 for p in places], [row["figure"][MEDIAN] for row in rows], 0.4, label="gradd")
    axes.barh([p + 0.2 for p in places], [row["peer"][MEDIAN] for row in rows], 0.4,
              label="PyTorch eager in process")
    axes.set_yticks(list(places), [row["what"] for row in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("µs")


def draw_lines(axes, lines):
    """lines: label to {n: value}."""
    for label, points in lines.items():
        axes.plot(*zip(*sorted(points.items())), marker="o", label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")


def draw_rates(axes, rows):
    lines = collections.defaultdict(dict)
    for row in rows:
        if row["bench"] != "serve" or not row["point"] or "forward" not in row["what"]:
            continue
        n, what = row["point"]
        lines["gradd, " + what.rpartition(", ")[2]][n] = row["figure"][MEDIAN]
        lines[row["beside"]][n] = row["peer"][MEDIAN]
    draw_lines(axes, lines)
    axes.set_xlabel("connections")
    axes.set_ylabel("forwards a second, 784-128-10, batch 1")


def draw_growth(axes, rows):
    lines = collections.defaultdict(dict)
    for row in rows:
        if row["bench"] == "growth" and row["point"]:
            n, what = row["point"]
            lines[what][n] = row["figure"][MEDIAN]
    draw_lines(axes, lines)
    axes.set_xlabel("n")
    axes.set_ylabel("µs")


def main():
    out = sys.argv[1]
    with open(f"{out}/bench.json", encoding="utf-8") as f:
        result = json.load(f)
    for name, draw in (("step", draw_steps), ("serve", draw_rates), ("growth", draw_growth)):
        figure, axes = pyplot.subplots(figsize=(10, 6))
        draw(axes, result["rows"])
        axes.legend()
        axes.set_title(f"{result['machine']['cpu']}, {result['machine']['commit']}")
        figure.tight_layout()
        figure.savefig(f"{out}/{name}.png", dpi=120)
        print(f"{out}/{name}.png")


main()
