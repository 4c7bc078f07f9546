"""Numbers as the bytes of an .npy."""
import io

import numpy

NPY = "application/x-npy"


def npy(rows):
    """rows: a list of lists, an array or a tensor."""
    file = io.BytesIO()
    numpy.save(file, numpy.asarray(rows, dtype=numpy.float32))
    return file.getvalue()
