"""Results as rows, the same that row.c prints: one JSON object a line.

bench, what, beside, unit; figure, peer and ratio as [low quartile, median, high quartile] or null,
ratio being how many times better than the peer; target as [which of them, sense, value] or null;
for the pictures (plot.py), point as [n, of what] where a row is one of several.
"""
import json
import statistics


def spread(values):
    """The median and the quartiles around it."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return [low, median, high]


def print_row(bench, what, beside, unit, figure, peer, ratio, target, point=None):
    print(json.dumps({"bench": bench, "what": what, "beside": beside, "unit": unit,
                      "figure": figure, "peer": peer, "ratio": ratio, "target": target,
                      "point": point}, ensure_ascii=False), flush=True)


def is_met(row):
    of, sense, value = row["target"]
    median = row[of][1]
    return median >= value if sense == ">=" else median <= value


def number(x):
    return f"{x:.3g}" if abs(x) < 1000 else f"{x:.0f}"


def spread_text(values, unit=""):
    low, median, high = map(number, values)
    return f"{median} {unit} [{low}–{high}]".replace("  ", " ")


def cells(row):
    """what, beside, figure, peer, ratio, target, verdict; a dash where there is nothing."""
    target = row["target"]
    unit = row["unit"] or ""
    figure, peer = (spread_text(row[key], unit) if row[key] else "–" for key in ("figure", "peer"))
    ratio = spread_text(row["ratio"], "×") if row["ratio"] else "–"
    wanted, verdict = "–", "–"
    if target:
        of, sense, value = target
        wanted = f"{'≥' if sense == '>=' else '≤'} {value:g} {'×' if of == 'ratio' else unit}"
        verdict = "met" if is_met(row) else "not met"
    return [row["what"], row["beside"] or "–", figure, peer, ratio, wanted, verdict]


HEAD = ["what", "beside", "figure", "peer", "ratio", "target", "verdict"]


def table(rows):
    """The rows as a table in Markdown, padded to be read as it is."""
    lines = [HEAD] + [cells(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
                     for line in lines)
