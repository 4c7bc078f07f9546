"""The programs of programs/: PyTorch's words and ours must be the same, byte for byte."""
import os

from case import Case

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")


def scripts():
    """(name, case) of each."""
    for file in sorted(os.listdir(FOLDER)):
        if file.endswith(".py"):
            with open(os.path.join(FOLDER, file), encoding="utf-8") as f:
                yield file.removesuffix(".py"), Case(f.read())
