#!/usr/bin/python3 -B
"""parity.py [--long] [--only REGEX] GRADD OUT - asks PyTorch and the daemon GRADD the same, by
POST /autograd, and tells where they differ: a table on stdout, the cases in OUT/differences.txt.

  PyTorch's own sample inputs, op by op    values, gradients, types, shapes, graphs
  the programs of programs/                what they print, warn and fail with
  random programs                          as the samples

The exit status is 1 if anything differs. --long: PyTorch's reference inputs in place of the
samples, and more random programs. --only: rows whose name matches; for looking closer.
"""
import argparse
import os
import re
import sys
import warnings

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import torch

import expressions
import samples
from case import run
from compare import differences, script_differences
from daemon_side import Side
from scripts import scripts
from table import Report

RANDOM_PROGRAMS = {False: 200, True: 4000}
UNKNOWN = re.compile(r"has no attribute|is not part of|is not defined")


def knows(side, op, cases):
    """Does the daemon have an op that was not asked for? Its first case tells."""
    for _, _, case in cases:
        if not isinstance(case, Exception) and case.returns:
            error = side.answer(case)["error"]
            return not (error and UNKNOWN.search(error["message"]))
    return False


def try_op(side, report, op, long):
    asked = op.name in samples.REQUIRED
    if not asked and not knows(side, op, samples.cases_of(op, False)):
        return
    not_asked = samples.NOT_ASKED.get(op.variant_test_name)
    row = report.row(samples.full_name(op))
    for form, dtype, case in samples.cases_of(op, long):
        if not_asked or isinstance(case, Exception):
            row.unwritable(not_asked or str(case))
            continue
        want, _ = run(case)
        found = differences(case, side.answer(case), want)
        limit = samples.limit_of(samples.full_name(op), form, dtype, found)
        if limit:
            row.unwritable("a limit: " + limit)
            continue
        report.put(row, f"{form}, {dtype}", case, found)
    if row.count["tried"] or row.count["not expressible"]:
        report.end_row(row)


def try_scripts(side, report):
    row = report.row("programs/", words_count=True)
    for name, case in scripts():
        want, _ = run(case)
        report.put(row, name, case, script_differences(side.answer(case), want))
    report.end_row(row)


def try_expressions(side, report, count):
    row = report.row("random programs", words_count=True)
    for seed, case in expressions.programs(count):
        want, _ = run(case)
        report.put(row, f"seed {seed}", case, differences(case, side.answer(case), want))
    report.end_row(row)


def try_all(side, report, args):
    for op in samples.load():
        if re.search(args.only, samples.full_name(op)):
            try_op(side, report, op, args.long)
    if re.search(args.only, "programs/"):
        try_scripts(side, report)
    if re.search(args.only, "random programs"):
        try_expressions(side, report, args.count or RANDOM_PROGRAMS[args.long])


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("gradd")
    parser.add_argument("out")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--count", type=int, default=0)
    return parser.parse_args()


def main():
    args = arguments()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    os.makedirs(args.out, exist_ok=True)
    path = os.path.join(args.out, "differences.txt")
    report = Report(path)
    with Side(args.gradd, args.out) as side:
        try_all(side, report, args)
    different = report.total()
    if different:
        print(f"{different} differ; see {path}")
    return 1 if different or side.deaths else 0


if __name__ == "__main__":
    sys.exit(main())
