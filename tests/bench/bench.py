#!/usr/bin/python3 -B
"""bench.py [--quick] BUILD OUT - runs every bench of the build folder, and puts what they find
into one table, on stdout and in OUT/bench.md, and into OUT/bench.json."""
import datetime
import json
import os
import platform
import subprocess
import sys

from rows import cells, table

BENCH = os.path.dirname(os.path.abspath(__file__))
PEERS = ["libopenblas0-pthread", "libblis4-serial", "python3-torch", "libcjson1", "python3-fastapi",
         "python3-uvicorn", "nodejs", "libmicrohttpd12"]


def output_of(*command):
    """The command's first line; empty if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.partition("\n")[0].strip()


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def load():
    return round(os.getloadavg()[0], 2)


def machine():
    return {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "cpu": cpu_name(), "cores": len(os.sched_getaffinity(0)),
            "kernel": platform.release(), "load_before": load(),
            "commit": output_of("git", "-C", BENCH, "describe", "--always", "--dirty"),
            "peers": {name: output_of("dpkg-query", "-W", "-f", "${Version}", name)
                      for name in PEERS}}


def run(command):
    """A bench's rows, each shown as it comes. A bench that fails ends all of it."""
    rows = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        for line in process.stdout:
            rows.append(json.loads(line))
            what, beside, figure, peer, ratio, *_ = cells(rows[-1])
            shown = {"figure": figure, "peer": f"{beside}: {peer}", "ratio": ratio}
            print(f"{what}: {', '.join(text for of, text in shown.items() if rows[-1][of])}",
                  flush=True)
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed")
    return rows


def summary(result):
    m = result["machine"]
    targets = [row for row in result["rows"] if row["target"]]
    met = sum(cells(row)[-1] == "met" for row in targets)
    commit = f"; commit {m['commit']}" if m["commit"] else ""
    peers = ", ".join(f"{name} {version}" for name, version in m["peers"].items() if version)
    return (f"{m['cpu']}, {m['cores']} cores, Linux {m['kernel']}; {m['date']}; "
            f"load {m['load_before']} before, {m['load_after']} after{commit}"
            f"{'; quick' if result['quick'] else ''}\n{peers}\n"
            f"Medians of paired rounds [quartiles]; ratio: how many times faster than the peer.\n\n"
            f"{table(targets)}\n\n{met} of {len(targets)} targets met\n")


def main():
    quick = [a for a in sys.argv[1:] if a == "--quick"]
    build, out = [a for a in sys.argv[1:] if a != "--quick"]
    os.makedirs(out, exist_ok=True)
    result = {"machine": machine(), "quick": bool(quick), "rows": []}
    daemon = f"{build}/gradd"
    for command in ([f"{build}/tests/bench/bench_matmul"], [f"{build}/tests/bench/bench_threads"],
                    [f"{build}/tests/bench/bench_numbers"],
                    [f"{BENCH}/step.py", daemon, out], [f"{BENCH}/step.py", daemon, out, "--large"],
                    [f"{BENCH}/serve.py", build, out], [f"{BENCH}/standing.py", daemon, out],
                    [f"{BENCH}/growth.py", daemon, out],
                    [f"{BENCH}/durability.py", daemon, f"{build}/tests/bench/bench_load", out]):
        result["rows"] += run(command + quick)
    result["machine"]["load_after"] = load()
    with open(f"{out}/bench.json", "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1, ensure_ascii=False)
    text = summary(result)
    with open(f"{out}/bench.md", "w", encoding="utf-8") as f:
        f.write(text)
    print("\n" + text, end="")


main()
