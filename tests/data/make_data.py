#!/usr/bin/python3
"""Writes the data sets of the tests, as CSV, beside this file. README.md names their sources.

Needs Debian's python3-sklearn; the tests themselves need only the files.
"""
import csv
import os

import numpy
from sklearn import datasets

HERE = os.path.dirname(os.path.abspath(__file__))


def shortest(value):
    """The shortest decimal that reads back to the same double, without an idle ".0"."""
    text = repr(float(value))
    return text[:-2] if text.endswith(".0") else text


def write_csv(name, header, rows):
    with open(os.path.join(HERE, name), "w", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(header)
        out.writerows([shortest(value) for value in row] for row in rows)


def write_set(name, header, data):
    write_csv(name, header, numpy.column_stack([data.data, data.target]))


def line():
    """y = 10x + 4 + noise in [0, 1): the least squares answer is near w = 10, b = 4.5."""
    x = numpy.arange(1000) / 10.0  # a quotient, not a sum of 0.1: 0.3, not 0.30000000000000004
    y = 10.0 * x + 4.0 + numpy.random.RandomState(0).rand(1000)
    return numpy.column_stack([x, y])


def main():
    pixels = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    write_set("digits.csv", pixels + ["label"], datasets.load_digits())
    # scaled: every column has mean 0 and a sum of squares of 1, so it can be trained on as it is.
    diabetes = datasets.load_diabetes(scaled=True)
    write_set("diabetes.csv", diabetes.feature_names + ["target"], diabetes)
    iris = ["sepal_length", "sepal_width", "petal_length", "petal_width", "species"]
    write_set("iris.csv", iris, datasets.load_iris())
    write_csv("line.csv", ["x", "y"], line())


if __name__ == "__main__":
    main()
