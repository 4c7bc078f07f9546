/* The samples of the rows, and the table that puts them beside their references. */
#include "tests/engine/lab.h"
#include "tests/engine/op_reference.h"

static const struct sample pairs[] = {
    {.shape = {DIMS(2, 3), DIMS(2, 3)}},
    {.shape = {DIMS(3), DIMS(2, 3)}},
    {.shape = {DIMS(2, 3), DIMS(3)}},
    {.shape = {DIMS(2, 1), DIMS(1, 3)}},
    {.shape = {DIMS(2, 1, 4), DIMS(3, 1)}},
    {.shape = {DIMS(2, 3, 2, 2), DIMS(3, 1, 2)}},
    {.shape = {DIMS(1, 2, 1, 2, 1, 2, 1, 2), DIMS(2, 1, 2, 1, 2, 1, 2, 1)}},
    {.shape = {SCALAR, DIMS(2, 3)}},
    {.shape = {DIMS(2, 3), SCALAR}},
    {.shape = {SCALAR, SCALAR}},
    {.shape = {DIMS(1), DIMS(1)}},
    {.shape = {DIMS(1), SCALAR}},
    {.shape = {DIMS(0), DIMS(1)}},
    {.shape = {DIMS(1), DIMS(0)}},
    {.shape = {DIMS(0, 3), DIMS(3)}},
    {.shape = {DIMS(2, 0), DIMS(2, 1)}},
    {.shape = {DIMS(1, 3), DIMS(0, 3)}},
    {.shape = {DIMS(3, 300), DIMS(300)}},
    {.shape = {DIMS(3, 1), DIMS(3, 300)}},
    {.shape = {DIMS(6, 19), DIMS(6, 19)}, .layout = {TRANSPOSED, ROWS}},
    {.shape = {DIMS(6, 19), DIMS(19)}, .layout = {TRANSPOSED, STRIDED}},
    {.shape = {DIMS(3, 5), DIMS(3, 5)}, .layout = {STRIDED, T_OF_LEAF}},
    {.shape = {DIMS(4, 6), DIMS(4, 6)}, .layout = {EXPANDED, TRANSPOSED}},
};

static const struct sample singles[] = {
    {.shape = {SCALAR}},
    {.shape = {DIMS(1)}},
    {.shape = {DIMS(0)}},
    {.shape = {DIMS(2, 0, 3)}},
    {.shape = {DIMS(7)}},
    {.shape = {DIMS(3, 37)}},
    {.shape = {DIMS(2, 3, 4)}},
    {.shape = {DIMS(1, 1, 1, 2, 1, 1, 1, 2)}},
    {.shape = {DIMS(1)}, .layout = {STRIDED}},
    {.shape = {DIMS(5, 9)}, .layout = {STRIDED}},
    {.shape = {DIMS(6, 19)}, .layout = {TRANSPOSED}},
    {.shape = {DIMS(2, 3, 5)}, .layout = {TRANSPOSED}},
    {.shape = {DIMS(4, 5)}, .layout = {EXPANDED}},
    {.shape = {DIMS(6, 19)}, .layout = {T_OF_LEAF}},
};

static const struct sample reductions_of_dims[] = {
    {.shape = {SCALAR}},
    {.shape = {SCALAR}, .args = {.dims = 1, .keepdim = true}},
    {.shape = {DIMS(7)}},
    {.shape = {DIMS(7)}, .args = {.dims = 1, .keepdim = true}},
    {.shape = {DIMS(1)}, .args = {.dims = 1}},
    {.shape = {DIMS(3, 37)}, .args = {.dims = 1}},
    {.shape = {DIMS(3, 37)}, .args = {.dims = 2}},
    {.shape = {DIMS(3, 37)}, .args = {.dims = 3, .keepdim = true}},
    {.shape = {DIMS(2, 300)}, .args = {.dims = 1}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.dims = 2}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.dims = 5}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.dims = 6, .keepdim = true}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.dims = 3}},
    {.shape = {DIMS(2, 1, 3, 2)}, .args = {.dims = 10}},
    {.shape = {DIMS(1, 2, 1, 2, 1, 2, 2, 2)}, .args = {.dims = 0x55}},
    {.shape = {DIMS(1, 2, 1, 2, 1, 2, 2, 2)}, .args = {.dims = 0xaa, .keepdim = true}},
    {.shape = {DIMS(5, 9)}, .layout = {STRIDED}, .args = {.dims = 2}},
    {.shape = {DIMS(6, 19)}, .layout = {TRANSPOSED}, .args = {.dims = 1}},
    {.shape = {DIMS(4, 5)}, .layout = {EXPANDED}, .args = {.dims = 2}},
    {.shape = {DIMS(6, 19)}, .layout = {T_OF_LEAF}, .args = {.dims = 2}},
    {.shape = {DIMS(3, 0)}, .args = {.dims = 1}},
    {.shape = {DIMS(0, 3)}, .args = {.dims = 2, .keepdim = true}},
    /* Of no elements: last, since not every reduction has a value then. */
    {.shape = {DIMS(0)}},
    {.shape = {DIMS(3, 0)}, .args = {.dims = 2, .keepdim = true}},
    {.shape = {DIMS(0, 3)}, .args = {.dims = 1}},
};
#define REDUCTIONS_OF_NOTHING 3

static const struct sample reductions_of_all[] = {
    {.shape = {SCALAR}},
    {.shape = {DIMS(1)}},
    {.shape = {DIMS(7)}},
    {.shape = {DIMS(3, 37)}},
    {.shape = {DIMS(2, 3, 4)}},
    {.shape = {DIMS(5, 9)}, .layout = {STRIDED}},
    {.shape = {DIMS(6, 19)}, .layout = {T_OF_LEAF}},
};

static const struct sample reductions_of_dim[] = {
    {.shape = {SCALAR}},
    {.shape = {SCALAR}, .args = {.keepdim = true}},
    {.shape = {DIMS(7)}},
    {.shape = {DIMS(1)}, .args = {.keepdim = true}},
    {.shape = {DIMS(3, 37)}, .args = {.dim = 0}},
    {.shape = {DIMS(3, 37)}, .args = {.dim = 1, .keepdim = true}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.dim = 0}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.dim = 1, .keepdim = true}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.dim = 2}},
    {.shape = {DIMS(0, 3)}, .args = {.dim = 1}},
    {.shape = {DIMS(5, 9)}, .layout = {STRIDED}, .args = {.dim = 0}},
    {.shape = {DIMS(6, 19)}, .layout = {TRANSPOSED}, .args = {.dim = 1}},
    {.shape = {DIMS(4, 5)}, .layout = {EXPANDED}, .args = {.dim = 1}},
    {.shape = {DIMS(6, 19)}, .layout = {T_OF_LEAF}, .args = {.dim = 0}},
};

static const struct sample flattened[] = {
    {.shape = {SCALAR}, .args = {.flat = true}},
    {.shape = {DIMS(7)}, .args = {.flat = true, .keepdim = true}},
    {.shape = {DIMS(3, 37)}, .args = {.flat = true, .keepdim = true}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.flat = true}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.dim = 1, .keepdim = true}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.dim = 2}},
    {.shape = {DIMS(6, 19)}, .layout = {T_OF_LEAF}, .args = {.dim = 0}},
};

static const struct sample casts[] = {
    {.shape = {SCALAR}, .args = {.has_dtype = true, .dtype = DTYPE_FLOAT64}},
    {.shape = {DIMS(3, 4)}, .args = {.has_dtype = true, .dtype = DTYPE_FLOAT32}},
    {.shape = {DIMS(0, 4)}, .args = {.has_dtype = true, .dtype = DTYPE_FLOAT32}},
    {.shape = {DIMS(4, 6)},
     .layout = {TRANSPOSED},
     .args = {.has_dtype = true, .dtype = DTYPE_FLOAT64}},
    {.shape = {DIMS(4, 6)},
     .layout = {EXPANDED},
     .args = {.has_dtype = true, .dtype = DTYPE_FLOAT32}},
};

static const struct sample lists[] = {
    {.inputs = 1, .shape = {DIMS(3)}},
    {.inputs = 2, .shape = {DIMS(3), DIMS(2)}},
    {.inputs = 3, .shape = {DIMS(2, 3), DIMS(1, 3), DIMS(4, 3)}},
    {.inputs = 3, .shape = {DIMS(2, 3), DIMS(2, 1), DIMS(2, 0)}, .args = {.dim = 1}},
    {.inputs = 2, .shape = {DIMS(2, 3, 4), DIMS(2, 5, 4)}, .args = {.dim = 1}},
    {.inputs = 3, .shape = {DIMS(0), DIMS(2, 3), DIMS(0)}, .args = {.dim = 1}},
    {.inputs = 2, .shape = {DIMS(0), DIMS(0)}},
    {.inputs = 2, .shape = {DIMS(0, 3), DIMS(2, 3)}},
    {.inputs = 2, .shape = {DIMS(4, 6), DIMS(3, 6)}, .layout = {TRANSPOSED, STRIDED}},
    {.inputs = 2,
     .shape = {DIMS(4, 6), DIMS(4, 2)},
     .layout = {EXPANDED, T_OF_LEAF},
     .args = {.dim = 1}},
};

static const struct sample stacks[] = {
    {.inputs = 2, .shape = {SCALAR, SCALAR}},
    {.inputs = 1, .shape = {DIMS(3)}, .args = {.dim = 1}},
    {.inputs = 3, .shape = {DIMS(2, 3), DIMS(2, 3), DIMS(2, 3)}},
    {.inputs = 3, .shape = {DIMS(2, 3), DIMS(2, 3), DIMS(2, 3)}, .args = {.dim = 1}},
    {.inputs = 2, .shape = {DIMS(2, 3), DIMS(2, 3)}, .args = {.dim = 2}},
    {.inputs = 2, .shape = {DIMS(0, 3), DIMS(0, 3)}, .args = {.dim = 1}},
    {.inputs = 2,
     .shape = {DIMS(4, 6), DIMS(4, 6)},
     .layout = {TRANSPOSED, STRIDED},
     .args = {.dim = 1}},
    {.inputs = 2, .shape = {DIMS(4, 6), DIMS(4, 6)}, .layout = {EXPANDED, T_OF_LEAF}},
};

static const struct sample indexings[] = {
    {.inputs = 2,
     .shape = {DIMS(5), DIMS(7)},
     .below = {0, 5},
     .from_end = true,
     .args = {.dims = 1}},
    {.inputs = 2, .shape = {DIMS(4, 3), DIMS(6)}, .below = {0, 4}, .args = {.dims = 1}},
    {.inputs = 2, .shape = {DIMS(4, 3), DIMS(2, 3)}, .below = {0, 3}, .args = {.dims = 2}},
    {.inputs = 2,
     .shape = {DIMS(4, 3), SCALAR},
     .below = {0, 4},
     .from_end = true,
     .args = {.dims = 1}},
    {.inputs = 2, .shape = {DIMS(2, 3, 4), DIMS(5)}, .below = {0, 3}, .args = {.dims = 2}},
    {.inputs = 3, .shape = {DIMS(4, 3), DIMS(6), DIMS(6)}, .below = {0, 4, 3}, .args = {.dims = 3}},
    {.inputs = 3,
     .shape = {DIMS(2, 3, 4), DIMS(5), DIMS(2, 1)},
     .below = {0, 2, 4},
     .from_end = true,
     .args = {.dims = 5}},
    {.inputs = 3,
     .shape = {DIMS(2, 3, 4, 2), DIMS(3, 1), DIMS(2)},
     .below = {0, 3, 4},
     .args = {.dims = 6}},
    {.inputs = 3,
     .shape = {DIMS(2, 3, 4, 2), DIMS(3), DIMS(3)},
     .below = {0, 3, 2},
     .args = {.dims = 10}},
    {.inputs = 4,
     .shape = {DIMS(2, 3, 4), DIMS(5), SCALAR, DIMS(2, 1)},
     .below = {0, 2, 3, 4},
     .args = {.dims = 7}},
    {.inputs = 2, .shape = {DIMS(4, 3), DIMS(0)}, .below = {0, 4}, .args = {.dims = 1}},
    {.inputs = 2, .shape = {DIMS(0, 3), DIMS(4)}, .below = {0, 3}, .args = {.dims = 2}},
    {.inputs = 2,
     .shape = {DIMS(6, 9), DIMS(7)},
     .layout = {TRANSPOSED, STRIDED},
     .below = {0, 6},
     .args = {.dims = 1}},
    {.inputs = 2,
     .shape = {DIMS(6, 9), DIMS(4, 2)},
     .layout = {T_OF_LEAF, EXPANDED},
     .below = {0, 9},
     .args = {.dims = 2}},
};

/* No index is drawn twice here: which of two values stays is not said. */
static const struct sample puttings[] = {
    {.inputs = 3, .shape = {DIMS(97), SCALAR, DIMS(4)}, .below = {0, 0, 97}, .args = {.dims = 1}},
    {.inputs = 3, .shape = {DIMS(5), DIMS(1), DIMS(1)}, .below = {0, 0, 5}, .args = {.dims = 1}},
    {.inputs = 3,
     .shape = {DIMS(97, 3), DIMS(3), DIMS(2)},
     .below = {0, 0, 97},
     .args = {.dims = 1}},
    {.inputs = 3,
     .shape = {DIMS(2, 97), DIMS(2, 1), DIMS(3)},
     .below = {0, 0, 97},
     .args = {.dims = 2}},
    {.inputs = 3,
     .shape = {DIMS(4, 3), DIMS(1, 1, 4), SCALAR},
     .below = {0, 0, 3},
     .from_end = true,
     .args = {.dims = 2}},
    {.inputs = 4,
     .shape = {DIMS(2, 3, 4), DIMS(3), SCALAR, SCALAR},
     .below = {0, 0, 2, 4},
     .args = {.dims = 5}},
    {.inputs = 3, .shape = {DIMS(4, 3), SCALAR, DIMS(0)}, .below = {0, 0, 4}, .args = {.dims = 1}},
    {.inputs = 3,
     .shape = {DIMS(6, 9), DIMS(9), SCALAR},
     .layout = {TRANSPOSED, STRIDED},
     .below = {0, 0, 6},
     .args = {.dims = 1}},
};

static const struct sample maskings[] = {
    {.shape = {SCALAR, SCALAR}, .args = {.alpha = 2.5}},
    {.shape = {DIMS(7), DIMS(7)}, .args = {.alpha = -2.5}},
    {.shape = {DIMS(2, 3), DIMS(3)}, .args = {.alpha = 0}},
    {.shape = {DIMS(3), DIMS(4, 3)}, .args = {.alpha = 1}},
    {.shape = {DIMS(2, 1), DIMS(1, 3)}, .args = {.alpha = 1}},
    {.shape = {DIMS(0, 3), DIMS(1)}, .args = {.alpha = 1}},
    {.shape = {DIMS(4, 6), DIMS(4, 6)}, .layout = {TRANSPOSED, STRIDED}, .args = {.alpha = 1}},
    {.shape = {DIMS(4, 6), DIMS(4, 6)}, .layout = {T_OF_LEAF, EXPANDED}, .args = {.alpha = 1}},
};

static const struct sample index_selections[] = {
    {.shape = {DIMS(5), DIMS(7)}, .below = {0, 5}},
    {.shape = {DIMS(4, 3), DIMS(6)}, .below = {0, 4}, .args = {.dim = 0}},
    {.shape = {DIMS(4, 3), DIMS(2)}, .below = {0, 3}, .args = {.dim = 1}},
    {.shape = {DIMS(2, 3, 4), DIMS(5)}, .below = {0, 3}, .args = {.dim = 1}},
    {.shape = {DIMS(4, 3), DIMS(0)}, .below = {0, 3}, .args = {.dim = 1}},
    {.shape = {DIMS(0, 3), DIMS(2)}, .below = {0, 3}, .args = {.dim = 1}},
    {.shape = {DIMS(6, 9), DIMS(7)},
     .layout = {TRANSPOSED, STRIDED},
     .below = {0, 9},
     .args = {.dim = 1}},
};

static const struct sample gatherings[] = {
    {.shape = {SCALAR, SCALAR}, .below = {0, 1}},
    {.shape = {DIMS(5), DIMS(7)}, .below = {0, 5}},
    {.shape = {DIMS(4, 3), DIMS(6, 2)}, .below = {0, 4}, .args = {.dim = 0}},
    {.shape = {DIMS(4, 3), DIMS(2, 7)}, .below = {0, 3}, .args = {.dim = 1}},
    {.shape = {DIMS(2, 3, 4), DIMS(2, 5, 3)}, .below = {0, 3}, .args = {.dim = 1}},
    {.shape = {DIMS(4, 3), DIMS(4, 0)}, .below = {0, 3}, .args = {.dim = 1}},
    {.shape = {DIMS(6, 9), DIMS(6, 9)},
     .layout = {TRANSPOSED, STRIDED},
     .below = {0, 9},
     .args = {.dim = 1}},
    {.shape = {DIMS(6, 9), DIMS(6, 9)}, .layout = {T_OF_LEAF, EXPANDED}, .below = {0, 6}},
};

static const struct sample triangles[] = {
    {.shape = {DIMS(3, 3)}},
    {.shape = {DIMS(3, 5)}, .args = {.start = 1}},
    {.shape = {DIMS(5, 3)}, .args = {.start = -2}},
    {.shape = {DIMS(5, 3)}, .args = {.start = 3}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.start = -1}},
    {.shape = {DIMS(2, 3)}, .args = {.start = INT64_MAX}},
    {.shape = {DIMS(2, 3)}, .args = {.start = INT64_MIN}},
    {.shape = {DIMS(0, 3)}},
    {.shape = {DIMS(3, 0)}},
    {.shape = {DIMS(6, 9)}, .layout = {TRANSPOSED}},
    {.shape = {DIMS(6, 9)}, .layout = {STRIDED}, .args = {.start = 2}},
};

static const struct sample flips[] = {
    {.shape = {SCALAR}},
    {.shape = {SCALAR}, .args = {.dims = 1}},
    {.shape = {DIMS(5)}, .args = {.dims = 1}},
    {.shape = {DIMS(2, 3)}},
    {.shape = {DIMS(2, 3)}, .args = {.dims = 3}},
    {.shape = {DIMS(2, 1, 4)}, .args = {.dims = 6}},
    {.shape = {DIMS(3, 0)}, .args = {.dims = 3}},
    {.shape = {DIMS(6, 9)}, .layout = {TRANSPOSED}, .args = {.dims = 2}},
    {.shape = {DIMS(4, 6)}, .layout = {EXPANDED}, .args = {.dims = 3}},
    {.shape = {DIMS(6, 9)}, .layout = {T_OF_LEAF}, .args = {.dims = 1}},
};

static const struct sample transposes[] = {
    {.shape = {SCALAR}},
    {.shape = {DIMS(1)}},
    {.shape = {DIMS(0)}},
    {.shape = {DIMS(5)}},
    {.shape = {DIMS(1, 1)}},
    {.shape = {DIMS(0, 3)}},
    {.shape = {DIMS(4, 9)}},
    {.shape = {DIMS(4, 9)}, .layout = {TRANSPOSED}},
    {.shape = {DIMS(4, 9)}, .layout = {STRIDED}},
    {.shape = {DIMS(4, 9)}, .layout = {EXPANDED}},
    {.shape = {DIMS(4, 9)}, .layout = {T_OF_LEAF}},
};

static const struct sample views[] = {
    {.shape = {DIMS(2, 3)}, .args = {.shape = DIMS(3, 2)}},
    {.shape = {DIMS(6)}, .args = {.shape = DIMS(2, 3)}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.shape = DIMS(6, 4)}},
    {.shape = {DIMS(2, 3)}, .args = {.shape = DIMS(1, 1, 2, 1, 3, 1, 1, 1)}},
    {.shape = {SCALAR}, .args = {.shape = DIMS(1, 1)}},
    {.shape = {DIMS(1)}, .args = {.shape = SCALAR}},
    {.shape = {DIMS(0, 3)}, .args = {.shape = DIMS(5, 0, 2)}},
    {.shape = {DIMS(3, 4)}, .layout = {STRIDED}, .args = {.shape = DIMS(2, 6)}},
    {.shape = {DIMS(3, 4)}, .layout = {TRANSPOSED}, .args = {.shape = DIMS(3, 1, 2, 2)}},
    {.shape = {DIMS(3, 4)}, .layout = {EXPANDED}, .args = {.shape = DIMS(3, 2, 2)}},
    {.shape = {DIMS(4, 6)}, .layout = {T_OF_LEAF}, .args = {.shape = DIMS(2, 2, 3, 2)}},
};

static const struct sample swaps[] = {
    {.shape = {SCALAR}},
    {.shape = {DIMS(5)}},
    {.shape = {DIMS(2, 3)}, .args = {.dim = 0, .dim2 = 1}},
    {.shape = {DIMS(2, 3)}, .args = {.dim = 1, .dim2 = 1}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.dim = 2, .dim2 = 0}},
    {.shape = {DIMS(2, 0, 4)}, .args = {.dim = 1, .dim2 = 2}},
    {.shape = {DIMS(4, 9)}, .layout = {TRANSPOSED}, .args = {.dim = 0, .dim2 = 1}},
    {.shape = {DIMS(4, 9)}, .layout = {STRIDED}, .args = {.dim = 1, .dim2 = 0}},
    {.shape = {DIMS(4, 9)}, .layout = {EXPANDED}, .args = {.dim = 1, .dim2 = 0}},
    {.shape = {DIMS(4, 9)}, .layout = {T_OF_LEAF}, .args = {.dim = 1, .dim2 = 0}},
};

static const struct sample permutations[] = {
    {.shape = {SCALAR}},
    {.shape = {DIMS(5)}, .args = {.shape = DIMS(0)}},
    {.shape = {DIMS(2, 3)}, .args = {.shape = DIMS(1, 0)}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.shape = DIMS(2, 0, 1)}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.shape = DIMS(1, 2, 0)}},
    {.shape = {DIMS(2, 0, 4)}, .args = {.shape = DIMS(1, 2, 0)}},
    {.shape = {DIMS(2, 3, 5)}, .layout = {TRANSPOSED}, .args = {.shape = DIMS(1, 2, 0)}},
    {.shape = {DIMS(6, 9)}, .layout = {T_OF_LEAF}, .args = {.shape = DIMS(1, 0)}},
};

static const struct sample squeezes[] = {
    {.shape = {SCALAR}},
    {.shape = {DIMS(1)}},
    {.shape = {DIMS(2, 3)}, .args = {.dim = 1}},
    {.shape = {DIMS(1, 2, 1, 1, 3, 1)}, .args = {.dim = 5}},
    {.shape = {DIMS(1, 2, 1, 1, 3, 1)}, .args = {.dim = 2}},
    {.shape = {DIMS(1, 0, 1)}, .args = {.dim = 0}},
    {.shape = {DIMS(2, 3, 1)}, .layout = {TRANSPOSED}, .args = {.dim = 1}},
    {.shape = {DIMS(3, 1)}, .layout = {EXPANDED}, .args = {.dim = 1}},
    {.shape = {DIMS(1, 9)}, .layout = {T_OF_LEAF}, .args = {.dim = 0}},
};

static const struct sample unsqueezes[] = {
    {.shape = {SCALAR}},
    {.shape = {DIMS(0)}, .args = {.dim = 1}},
    {.shape = {DIMS(2, 3)}, .args = {.dim = 0}},
    {.shape = {DIMS(2, 3)}, .args = {.dim = 1}},
    {.shape = {DIMS(2, 3)}, .args = {.dim = 2}},
    {.shape = {DIMS(2, 3, 5)}, .layout = {TRANSPOSED}, .args = {.dim = 1}},
    {.shape = {DIMS(5, 9)}, .layout = {STRIDED}, .args = {.dim = 2}},
    {.shape = {DIMS(6, 9)}, .layout = {T_OF_LEAF}, .args = {.dim = 1}},
};

static const struct sample expansions[] = {
    {.shape = {SCALAR}},
    {.shape = {SCALAR}, .args = {.shape = DIMS(2, 3)}},
    {.shape = {DIMS(2, 3)}, .args = {.shape = DIMS(2, 3)}},
    {.shape = {DIMS(2, 3)}, .args = {.shape = DIMS(4, -1, 3)}},
    {.shape = {DIMS(2, 1)}, .args = {.shape = DIMS(-1, 300)}},
    {.shape = {DIMS(2, 1, 3, 1)}, .args = {.shape = DIMS(2, 4, 3, 5)}},
    {.shape = {DIMS(1)}, .args = {.shape = DIMS(0)}},
    {.shape = {DIMS(0, 1)}, .args = {.shape = DIMS(2, 0, 3)}},
    {.shape = {DIMS(5, 9)}, .layout = {STRIDED}, .args = {.shape = DIMS(2, 5, 9)}},
    {.shape = {DIMS(5, 9)}, .layout = {TRANSPOSED}, .args = {.shape = DIMS(2, 5, 9)}},
    {.shape = {DIMS(4, 5)}, .layout = {EXPANDED}, .args = {.shape = DIMS(2, 4, 5)}},
    {.shape = {DIMS(1, 9)}, .layout = {T_OF_LEAF}, .args = {.shape = DIMS(4, 9)}},
};

static const struct sample slices[] = {
    {.shape = {DIMS(7)}, .args = {.start = 0, .end = 7, .step = 1}},
    {.shape = {DIMS(7)}, .args = {.start = 1, .end = INT64_MAX, .step = 3}},
    {.shape = {DIMS(7)}, .args = {.start = 3, .end = 3, .step = 1}},
    {.shape = {DIMS(7)}, .args = {.start = 2, .end = 5, .step = INT64_MAX / 2}},
    {.shape = {DIMS(4, 6)}, .args = {.dim = 0, .start = 1, .end = 3, .step = 1}},
    {.shape = {DIMS(4, 6)}, .args = {.dim = 1, .start = 0, .end = 5, .step = 2}},
    {.shape = {DIMS(2, 5, 3)}, .args = {.dim = 1, .start = 1, .end = 4, .step = 2}},
    {.shape = {DIMS(0, 6)}, .args = {.dim = 1, .start = 1, .end = 4, .step = 1}},
    {.shape = {DIMS(4, 6)},
     .layout = {TRANSPOSED},
     .args = {.dim = 1, .start = 1, .end = 6, .step = 2}},
    {.shape = {DIMS(4, 6)},
     .layout = {STRIDED},
     .args = {.dim = 0, .start = 1, .end = 3, .step = 1}},
    {.shape = {DIMS(4, 6)},
     .layout = {EXPANDED},
     .args = {.dim = 1, .start = 1, .end = 3, .step = 1}},
    {.shape = {DIMS(4, 6)},
     .layout = {T_OF_LEAF},
     .args = {.dim = 1, .start = 3, .end = 6, .step = 1}},
};

static const struct sample selections[] = {
    {.shape = {DIMS(5)}, .args = {.start = 2}},
    {.shape = {DIMS(4, 6)}, .args = {.dim = 0, .start = 3}},
    {.shape = {DIMS(4, 6)}, .args = {.dim = 1, .start = -6}},
    {.shape = {DIMS(2, 5, 3)}, .args = {.dim = 1, .start = -1}},
    {.shape = {DIMS(0, 6)}, .args = {.dim = 1, .start = 1}},
    {.shape = {DIMS(4, 6)}, .layout = {TRANSPOSED}, .args = {.dim = 1, .start = 2}},
    {.shape = {DIMS(4, 6)}, .layout = {STRIDED}, .args = {.dim = 0, .start = 1}},
    {.shape = {DIMS(4, 6)}, .layout = {EXPANDED}, .args = {.dim = 1, .start = 1}},
    {.shape = {DIMS(4, 6)}, .layout = {T_OF_LEAF}, .args = {.dim = 1, .start = 3}},
};

/* Row-major only: the reference knows no places but those. */
static const struct sample layouts[] = {
    {.shape = {DIMS(6)}, .args = {.shape = DIMS(2, 3), .stride = {3, 1}}},
    {.shape = {DIMS(2, 3)}, .args = {.shape = DIMS(3, 2), .stride = {1, 3}}},
    {.shape = {DIMS(9)}, .args = {.shape = DIMS(3, 3), .stride = {1, 1}}},
    {.shape = {DIMS(7)}, .args = {.shape = DIMS(2, 2), .stride = {2, 3}, .start = 1}},
    {.shape = {DIMS(3, 5)}, .args = {.shape = DIMS(4, 3), .stride = {0, 2}, .start = 9}},
    {.shape = {DIMS(2, 4)},
     .args = {.shape = DIMS(2, 1, 2, 1, 1, 2), .stride = {4, 9, 2, 0, 1, 1}}},
    {.shape = {SCALAR}, .args = {.shape = SCALAR}},
    {.shape = {DIMS(4)}, .args = {.shape = SCALAR, .start = 3}},
    {.shape = {DIMS(4)}, .args = {.shape = DIMS(0, 2), .stride = {1, 1}, .start = 2}},
    {.shape = {DIMS(0)}, .args = {.shape = DIMS(0)}},
};

static const struct sample products[] = {
    {.shape = {DIMS(2, 3), DIMS(3, 4)}},
    {.shape = {DIMS(1, 1), DIMS(1, 1)}},
    {.shape = {DIMS(1, 40), DIMS(40, 1)}},
    {.shape = {DIMS(20, 1), DIMS(1, 20)}},
    {.shape = {DIMS(0, 3), DIMS(3, 2)}},
    {.shape = {DIMS(2, 0), DIMS(0, 3)}},
    {.shape = {DIMS(2, 3), DIMS(3, 0)}},
    {.shape = {DIMS(17, 33), DIMS(33, 19)}},
    {.shape = {DIMS(1, 33), DIMS(33, 19)}, .layout = {ROWS, T_OF_LEAF}},
    {.shape = {DIMS(7, 5), DIMS(5, 18)}, .layout = {TRANSPOSED, ROWS}},
    {.shape = {DIMS(7, 5), DIMS(5, 18)}, .layout = {T_OF_LEAF, T_OF_LEAF}},
    {.shape = {DIMS(7, 5), DIMS(5, 18)}, .layout = {STRIDED, STRIDED}},
    {.shape = {DIMS(7, 5), DIMS(5, 18)}, .layout = {EXPANDED, TRANSPOSED}},
};

static const struct sample sums_of_products[] = {
    {.shape = {DIMS(4), DIMS(2, 3), DIMS(3, 4)}},
    {.shape = {DIMS(1), DIMS(2, 3), DIMS(3, 4)}},
    {.shape = {SCALAR, DIMS(2, 3), DIMS(3, 4)}},
    {.shape = {DIMS(2, 4), DIMS(2, 3), DIMS(3, 4)}},
    {.shape = {DIMS(2, 1), DIMS(2, 3), DIMS(3, 4)}},
    {.shape = {DIMS(1, 4), DIMS(2, 3), DIMS(3, 4)}},
    {.shape = {DIMS(1), DIMS(1, 1), DIMS(1, 1)}},
    {.shape = {DIMS(2), DIMS(0, 3), DIMS(3, 2)}},
    {.shape = {DIMS(3), DIMS(2, 0), DIMS(0, 3)}},
    {.shape = {DIMS(0), DIMS(2, 3), DIMS(3, 0)}},
    {.shape = {DIMS(19), DIMS(17, 33), DIMS(33, 19)}, .layout = {ROWS, ROWS, T_OF_LEAF}},
    {.shape = {DIMS(19), DIMS(1, 33), DIMS(33, 19)}, .layout = {STRIDED, ROWS, TRANSPOSED}},
    {.shape = {DIMS(7, 9), DIMS(7, 5), DIMS(5, 9)}, .layout = {TRANSPOSED, STRIDED, EXPANDED}},
    {.shape = {DIMS(7, 9), DIMS(7, 5), DIMS(5, 9)}, .layout = {EXPANDED, T_OF_LEAF, STRIDED}},
};

static const struct sample matrix_times_vector[] = {
    {.shape = {DIMS(2, 3), DIMS(3)}},
    {.shape = {DIMS(1, 1), DIMS(1)}},
    {.shape = {DIMS(0, 3), DIMS(3)}},
    {.shape = {DIMS(2, 0), DIMS(0)}},
    {.shape = {DIMS(1, 40), DIMS(40)}},
    {.shape = {DIMS(17, 33), DIMS(33)}, .layout = {TRANSPOSED, STRIDED}},
    {.shape = {DIMS(7, 5), DIMS(5)}, .layout = {STRIDED, EXPANDED}},
    {.shape = {DIMS(7, 5), DIMS(5)}, .layout = {T_OF_LEAF, ROWS}},
    {.shape = {DIMS(7, 5), DIMS(5)}, .layout = {EXPANDED, STRIDED}},
};

static const struct sample dots[] = {
    {.shape = {DIMS(3), DIMS(3)}},
    {.shape = {DIMS(1), DIMS(1)}},
    {.shape = {DIMS(0), DIMS(0)}},
    {.shape = {DIMS(37), DIMS(37)}, .layout = {STRIDED, ROWS}},
    {.shape = {DIMS(9), DIMS(9)}, .layout = {EXPANDED, STRIDED}},
};

static const struct sample stacks_of_matrices[] = {
    {.shape = {DIMS(2, 2, 3), DIMS(2, 3, 4)}},
    {.shape = {DIMS(1, 1, 1), DIMS(1, 1, 1)}},
    {.shape = {DIMS(3, 1, 5), DIMS(3, 5, 1)}},
    {.shape = {DIMS(0, 2, 3), DIMS(0, 3, 4)}},
    {.shape = {DIMS(2, 0, 3), DIMS(2, 3, 4)}},
    {.shape = {DIMS(2, 2, 0), DIMS(2, 0, 4)}},
    {.shape = {DIMS(2, 2, 3), DIMS(2, 3, 0)}},
    {.shape = {DIMS(2, 7, 9), DIMS(2, 9, 19)}, .layout = {TRANSPOSED, STRIDED}},
    {.shape = {DIMS(2, 7, 9), DIMS(2, 9, 5)}, .layout = {EXPANDED, TRANSPOSED}},
    {.shape = {DIMS(3, 2, 2), DIMS(3, 2, 2)}, .layout = {STRIDED, EXPANDED}},
};

static const struct sample sums_with_a_vector[] = {
    {.shape = {DIMS(2), DIMS(2, 3), DIMS(3)}},
    {.shape = {DIMS(1), DIMS(2, 3), DIMS(3)}},
    {.shape = {SCALAR, DIMS(2, 3), DIMS(3)}},
    {.shape = {DIMS(0), DIMS(0, 3), DIMS(3)}},
    {.shape = {DIMS(2), DIMS(2, 0), DIMS(0)}},
    {.shape = {DIMS(7), DIMS(7, 5), DIMS(5)}, .layout = {STRIDED, TRANSPOSED, EXPANDED}},
};

static const struct sample sums_of_stacks[] = {
    {.shape = {DIMS(4), DIMS(2, 2, 3), DIMS(2, 3, 4)}},
    {.shape = {SCALAR, DIMS(2, 2, 3), DIMS(2, 3, 4)}},
    {.shape = {DIMS(2, 1, 4), DIMS(2, 2, 3), DIMS(2, 3, 4)}},
    {.shape = {DIMS(2, 1), DIMS(2, 2, 3), DIMS(2, 3, 4)}},
    {.shape = {DIMS(1, 2, 4), DIMS(2, 2, 0), DIMS(2, 0, 4)}},
    {.shape = {DIMS(4), DIMS(0, 2, 3), DIMS(0, 3, 4)}},
    {.shape = {DIMS(2, 7, 5), DIMS(2, 7, 9), DIMS(2, 9, 5)},
     .layout = {TRANSPOSED, EXPANDED, STRIDED}},
};

/* One of a convolution: strides, padding, dilations along height and width, groups. */
#define CONV(s0, s1, p0, p1, d0, d1, g) .args = {.conv = {{s0, s1}, {p0, p1}, {d0, d1}, g}}
#define PLAIN                           CONV(1, 1, 0, 0, 1, 1, 1)
static const struct sample images[] = {
    {.shape = {DIMS(2, 3, 5, 4), DIMS(4, 3, 3, 2), DIMS(4)}, PLAIN},
    {.shape = {DIMS(2, 3, 5, 4), DIMS(4, 3, 3, 2)}, .inputs = 2, PLAIN},
    {.shape = {DIMS(1, 1, 1, 1), DIMS(1, 1, 1, 1), DIMS(1)}, PLAIN},
    {.shape = {DIMS(2, 3, 4, 5), DIMS(6, 3, 1, 1), DIMS(6)}, PLAIN},
    {.shape = {DIMS(2, 4, 3, 3), DIMS(6, 2, 1, 1), DIMS(6)}, CONV(1, 1, 0, 0, 1, 1, 2)},
    {.shape = {DIMS(2, 4, 3, 5), DIMS(3, 4, 3, 5), DIMS(3)}, PLAIN},
    {.shape = {DIMS(3, 4, 3, 2), DIMS(6, 2, 3, 2), DIMS(6)}, CONV(2, 3, 0, 0, 1, 1, 2)},
    {.shape = {DIMS(2, 2, 7, 6), DIMS(3, 2, 3, 3), DIMS(3)}, CONV(2, 2, 1, 1, 1, 1, 1)},
    {.shape = {DIMS(2, 2, 7, 6), DIMS(3, 2, 2, 3), DIMS(3)}, CONV(3, 1, 1, 0, 1, 2, 1)},
    {.shape = {DIMS(1, 2, 9, 9), DIMS(2, 2, 3, 3), DIMS(2)}, CONV(1, 2, 3, 2, 3, 2, 1)},
    {.shape = {DIMS(2, 4, 5, 5), DIMS(4, 1, 3, 3), DIMS(4)}, CONV(1, 1, 1, 1, 1, 1, 4)},
    {.shape = {DIMS(2, 3, 6, 5), DIMS(6, 1, 3, 2), DIMS(6)}, CONV(2, 1, 1, 0, 2, 1, 3)},
    {.shape = {DIMS(2, 3, 2, 2), DIMS(4, 3, 3, 3), DIMS(4)}, CONV(1, 1, 1, 1, 1, 1, 1)},
    {.shape = {DIMS(2, 3, 1, 1), DIMS(4, 3, 3, 3), DIMS(4)}, CONV(2, 2, 1, 1, 1, 1, 1)},
    {.shape = {DIMS(0, 3, 5, 4), DIMS(4, 3, 3, 2), DIMS(4)}, PLAIN},
    {.shape = {DIMS(2, 0, 5, 4), DIMS(4, 0, 3, 2), DIMS(4)}, PLAIN},
    {.shape = {DIMS(2, 3, 5, 4), DIMS(4, 3, 3, 2), DIMS(4)},
     .layout = {TRANSPOSED, STRIDED, STRIDED},
     PLAIN},
    {.shape = {DIMS(2, 3, 4, 4), DIMS(4, 3, 4, 4), DIMS(4)},
     .layout = {EXPANDED, TRANSPOSED, EXPANDED},
     PLAIN},
};

static const struct sample lines[] = {
    {.shape = {SCALAR}},
    {.shape = {SCALAR}, .args = {.dim = -1}},
    {.shape = {DIMS(1)}},
    {.shape = {DIMS(0)}},
    {.shape = {DIMS(5)}, .args = {.dim = -1}},
    {.shape = {DIMS(4, 3)}},
    {.shape = {DIMS(4, 3)}, .args = {.dim = 1}},
    {.shape = {DIMS(4, 3)}, .args = {.dim = -1}},
    {.shape = {DIMS(4, 3)}, .args = {.dim = -2}},
    {.shape = {DIMS(3, 37)}, .args = {.dim = 1}},
    {.shape = {DIMS(2, 3, 4)}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.dim = 1}},
    {.shape = {DIMS(2, 3, 4)}, .args = {.dim = 2}},
    {.shape = {DIMS(0, 3)}, .args = {.dim = 1}},
    {.shape = {DIMS(3, 0)}, .args = {.dim = 1}},
    {.shape = {DIMS(3, 0)}},
    {.shape = {DIMS(6, 19)}, .layout = {TRANSPOSED}, .args = {.dim = 1}},
    {.shape = {DIMS(6, 19)}, .layout = {STRIDED}},
    {.shape = {DIMS(6, 9)}, .layout = {EXPANDED}, .args = {.dim = -1}},
    {.shape = {DIMS(6, 19)}, .layout = {T_OF_LEAF}, .args = {.dim = 1}},
    {.shape = {DIMS(70, 10)}, .args = {.dim = 1}}, /* several at a time, more than once */
    {.shape = {DIMS(33, 17)}, .args = {.dim = 1}},
    {.shape = {DIMS(3, 300)}, .args = {.dim = 1}},
    {.shape = {DIMS(2, 500)}, .args = {.dim = 1}},
};

static const struct sample classes[] = {
    {.shape = {DIMS(4, 3), DIMS(4)}, .inputs = 2},
    {.shape = {DIMS(1, 1), DIMS(1)}, .inputs = 2},
    {.shape = {DIMS(0, 3), DIMS(0)}, .inputs = 2},
    {.shape = {DIMS(5), SCALAR}, .inputs = 2},
    {.shape = {DIMS(5), SCALAR, DIMS(5)}},
    {.shape = {DIMS(19, 37), DIMS(19)}, .inputs = 2},
    {.shape = {DIMS(19, 7), DIMS(19), DIMS(7)}},
    {.shape = {DIMS(19, 4), DIMS(19)}, .inputs = 2, .args = {.ignore_index = 1}},
    {.shape = {DIMS(19, 4), DIMS(19), DIMS(4)}, .args = {.ignore_index = 3}},
    {.shape = {DIMS(0, 4), DIMS(0), DIMS(4)}},
    {.shape = {DIMS(6, 9), DIMS(6)}, .inputs = 2, .layout = {TRANSPOSED, STRIDED}},
    {.shape = {DIMS(6, 9), DIMS(6)}, .inputs = 2, .layout = {T_OF_LEAF, EXPANDED}},
    {.shape = {DIMS(6, 9), DIMS(6), DIMS(9)}, .layout = {STRIDED, ROWS, STRIDED}},
};

static const struct sample image_classes[] = {
    {.shape = {DIMS(2, 5, 3, 1), DIMS(2, 3, 1)}, .inputs = 2},
    {.shape = {DIMS(2, 3, 2, 2), DIMS(2, 2, 2)}, .inputs = 2},
    {.shape = {DIMS(2, 3, 2, 4), DIMS(2, 2, 4), DIMS(3)}, .args = {.ignore_index = 2}},
    {.shape = {DIMS(2, 4, 0, 3), DIMS(2, 0, 3)}, .inputs = 2},
    {.shape = {DIMS(0, 4, 2, 3), DIMS(0, 2, 3), DIMS(4)}},
    {.shape = {DIMS(2, 3, 4, 5), DIMS(2, 4, 5), DIMS(3)}, .layout = {TRANSPOSED, STRIDED, STRIDED}},
};

static const struct sample compared[] = {
    {.shape = {SCALAR, SCALAR}},
    {.shape = {DIMS(1), DIMS(1)}},
    {.shape = {DIMS(0), DIMS(0)}},
    {.shape = {DIMS(7, 0), DIMS(7, 0)}},
    {.shape = {DIMS(5, 1), DIMS(5, 1)}},
    {.shape = {DIMS(3, 37), DIMS(3, 37)}},
    {.shape = {DIMS(2, 3, 4), DIMS(2, 3, 4)}},
    {.shape = {DIMS(6, 9), DIMS(6, 9)}, .layout = {TRANSPOSED, ROWS}},
    {.shape = {DIMS(6, 9), DIMS(6, 9)}, .layout = {STRIDED, TRANSPOSED}},
    {.shape = {DIMS(6, 9), DIMS(6, 9)}, .layout = {EXPANDED, T_OF_LEAF}},
};

/* Of two inputs and of three. */
#define WEIGHED                                                                                    \
    {.shape = {SCALAR, SCALAR}, .inputs = 2}, {.shape = {DIMS(0), DIMS(0)}, .inputs = 2},          \
        {.shape = {DIMS(3, 37), DIMS(3, 37)}, .inputs = 2},                                        \
        {.shape = {DIMS(6, 9), DIMS(6, 9)}, .inputs = 2, .layout = {TRANSPOSED, STRIDED}},         \
        {.shape = {DIMS(2, 3), DIMS(2, 3), DIMS(3)}, .inputs = 3},                                 \
        {.shape = {DIMS(2, 3), DIMS(2, 3), DIMS(2, 1)}, .inputs = 3},                              \
        {.shape = {DIMS(2, 3), DIMS(2, 3), SCALAR}, .inputs = 3},                                  \
        {.shape = {DIMS(0, 3), DIMS(0, 3), DIMS(3)}, .inputs = 3},                                 \
        {.shape = {DIMS(3, 300), DIMS(3, 300), DIMS(3, 300)}, .inputs = 3},                        \
        {.shape = {DIMS(4, 5), DIMS(4, 5), DIMS(4, 5)},                                            \
         .inputs = 3,                                                                              \
         .layout = {EXPANDED, T_OF_LEAF, TRANSPOSED}},

static const struct sample weighed[] = {WEIGHED};

static const struct sample weighed_logits[] = {
    WEIGHED{.shape = {DIMS(2, 3), DIMS(2, 3), SCALAR, DIMS(3)}},
    {.shape = {DIMS(2, 3), DIMS(2, 3), DIMS(2, 1), DIMS(2, 1)}},
    {.shape = {DIMS(2, 3, 4), DIMS(2, 3, 4), DIMS(3, 1), DIMS(2, 3, 4)}},
    {.shape = {DIMS(0, 3), DIMS(0, 3), SCALAR, DIMS(3)}},
    {.shape = {DIMS(3, 300), DIMS(3, 300), DIMS(3, 1), DIMS(300)}},
    {.shape = {DIMS(4, 5), DIMS(4, 5), DIMS(4, 5), DIMS(5)},
     .layout = {STRIDED, TRANSPOSED, EXPANDED, STRIDED}},
};

static const struct sample triples[] = {
    {.shape = {DIMS(2, 3), DIMS(2, 3), DIMS(2, 3)}},
    {.shape = {DIMS(2, 3), DIMS(3), DIMS(2, 1)}},
    {.shape = {DIMS(2, 1), DIMS(1, 3), SCALAR}},
    {.shape = {SCALAR, DIMS(4, 3), DIMS(3)}},
    {.shape = {DIMS(3), SCALAR, DIMS(2, 2, 1)}},
    {.shape = {SCALAR, SCALAR, SCALAR}},
    {.shape = {DIMS(0), DIMS(1), SCALAR}},
    {.shape = {DIMS(1, 3), DIMS(0, 1), DIMS(3)}},
    {.shape = {DIMS(3, 300), DIMS(300), DIMS(3, 1)}},
    {.shape = {DIMS(6, 19), DIMS(6, 19), DIMS(19)}, .layout = {TRANSPOSED, STRIDED, STRIDED}},
    {.shape = {DIMS(3, 5), DIMS(3, 5), DIMS(3, 5)}, .layout = {EXPANDED, T_OF_LEAF, TRANSPOSED}},
};

/* So few that no quotient is an integer, where the remainder jumps. */
static const struct sample divisions[] = {
    {.shape = {DIMS(2, 3), DIMS(2, 3)}},
    {.shape = {DIMS(3), DIMS(2, 3)}},
    {.shape = {DIMS(2, 1), DIMS(1, 3)}},
    {.shape = {SCALAR, DIMS(2, 3)}},
    {.shape = {DIMS(2, 3), SCALAR}},
    {.shape = {DIMS(0, 3), DIMS(3)}},
    {.shape = {DIMS(3, 5), DIMS(3, 5)}, .layout = {STRIDED, T_OF_LEAF}},
    {.shape = {DIMS(4, 6), DIMS(4, 6)}, .layout = {EXPANDED, TRANSPOSED}},
};

static const struct sample filled[] = {
    {.shape = {DIMS(2, 3), SCALAR}},
    {.shape = {SCALAR, SCALAR}},
    {.shape = {DIMS(0), SCALAR}},
    {.shape = {DIMS(3, 300), SCALAR}},
    {.shape = {DIMS(6, 19), SCALAR}, .layout = {TRANSPOSED}},
};

static const struct sample copied[] = {
    {.shape = {DIMS(2, 3), DIMS(2, 3)}},
    {.shape = {DIMS(2, 3), DIMS(3)}},
    {.shape = {DIMS(2, 3), DIMS(2, 1)}},
    {.shape = {DIMS(2, 3), SCALAR}},
    {.shape = {SCALAR, SCALAR}},
    {.shape = {DIMS(0, 3), DIMS(3)}},
    {.shape = {DIMS(6, 19), DIMS(6, 19)}, .layout = {TRANSPOSED, STRIDED}},
    {.shape = {DIMS(6, 19), DIMS(19)}, .layout = {STRIDED, STRIDED}},
    {.shape = {DIMS(3, 5), DIMS(3, 5)}, .layout = {ROWS, T_OF_LEAF}},
};

static const struct sample roundings[] = {
    {.shape = {DIMS(2, 3)}, .args = {.start = 1}},
    {.shape = {DIMS(0)}, .args = {.start = 2}},
    {.shape = {DIMS(2, 3)}, .args = {.start = -1}},
    {.shape = {DIMS(2, 3)}},
    {.shape = {DIMS(6, 3)}, .args = {.start = 1}, .layout = {TRANSPOSED}},
};

/* The output's shape, and what comes before the input along each dimension. */
#define PADDED(shape_, ...) .args = {.alpha = 2.5, .shape = shape_, .before = {__VA_ARGS__}}
static const struct sample paddings[] = {
    {.shape = {SCALAR}, PADDED(SCALAR, 0)},
    {.shape = {DIMS(3)}, PADDED(DIMS(6), 1)},
    {.shape = {DIMS(3)}, PADDED(DIMS(2), -1)},
    {.shape = {DIMS(3)}, PADDED(DIMS(1), 0)},
    {.shape = {DIMS(3)}, PADDED(DIMS(0), -3)},
    {.shape = {DIMS(0, 3)}, PADDED(DIMS(2, 4), 1, 1)},
    {.shape = {DIMS(2, 3)}, PADDED(DIMS(2, 4), 1, -1)},
    {.shape = {DIMS(2, 3, 4)}, PADDED(DIMS(4, 2, 7), 0, -1, 2)},
    {.shape = {DIMS(6, 9)}, PADDED(DIMS(7, 11), 1, 1), .layout = {TRANSPOSED}},
    {.shape = {DIMS(6, 9)}, PADDED(DIMS(5, 11), 0, 1), .layout = {T_OF_LEAF}},
    {.shape = {DIMS(4, 5)}, PADDED(DIMS(4, 7), 0, 1), .layout = {EXPANDED}},
};

static const struct sample overwritten[] = {
    {.shape = {DIMS(2, 3), DIMS(3), DIMS(2, 3)}},
    {.shape = {SCALAR, SCALAR, SCALAR}},
    {.shape = {DIMS(0, 3), SCALAR, DIMS(0, 3)}},
    {.shape = {DIMS(6, 19), DIMS(6, 19), DIMS(6, 19)}, .layout = {TRANSPOSED, STRIDED, TRANSPOSED}},
};

/* Many equal ones among them. */
static const struct sample integers[] = {
    {.shape = {DIMS(2, 30), DIMS(30)}, .below = {4, 4}, .from_end = true},
    {.shape = {DIMS(5, 9), DIMS(5, 9)}, .below = {2, 2}, .layout = {TRANSPOSED, STRIDED}},
    {.shape = {DIMS(40), SCALAR}, .below = {3, 3}},
    {.shape = {SCALAR, DIMS(40)}, .below = {3, 3}, .from_end = true},
    {.shape = {DIMS(0), DIMS(1)}, .below = {3, 3}},
};

static const struct variant bounds[] = {
    {.alpha = -0.5, .beta = 0.75}, {.alpha = NAN, .beta = 0.25}, {.alpha = -0.125, .beta = NAN}};
static const struct variant intervals[] = {{.alpha = -0.5, .beta = 0.75}, {.alpha = 0, .beta = 6}};
static const struct variant curves[] = {{.alpha = 1}, {.alpha = 0.3}, {.alpha = -1.5}};
static const struct variant rises[] = {{.alpha = 1}, {.alpha = 0.3}};
static const struct variant softnesses[] = {
    {.alpha = 1, .beta = 20}, {.alpha = 2.5, .beta = 1}, {.alpha = -0.75, .beta = 20}};
static const struct variant exponents[] = {
    {.alpha = 2},  {.alpha = 3},   {.alpha = 1}, {.alpha = 0.5},  {.alpha = -0.5}, {.alpha = -1},
    {.alpha = -2}, {.alpha = 2.5}, {.alpha = 4}, {.alpha = -1.3}, {.alpha = 1.5}};
static const struct variant minuends[] = {
    {.alpha = 1, .beta = 1}, {.alpha = 0, .beta = 1}, {.alpha = -2.5, .beta = 0.5}};
static const struct variant alphas[] = {{.alpha = 1}, {.alpha = 0}, {.alpha = -2.5}};
static const struct variant slopes[] = {{.alpha = 0.01}, {.alpha = 0}, {.alpha = 1.5}};
static const struct variant forms[] = {{.tanh = false}, {.tanh = true}};
static const struct variant reductions[] = {
    {.reduction = REDUCTION_MEAN}, {.reduction = REDUCTION_SUM}, {.reduction = REDUCTION_NONE}};
static const struct variant widths[] = {{.reduction = REDUCTION_MEAN, .alpha = 1},
                                        {.reduction = REDUCTION_MEAN, .alpha = 0.3},
                                        {.reduction = REDUCTION_SUM, .alpha = 2.5},
                                        {.reduction = REDUCTION_NONE, .alpha = 0.7}};
static const struct variant factors[] = {
    {.alpha = 1, .beta = 1}, {.alpha = -2.5, .beta = 0.5}, {.alpha = 1, .beta = 0}, {.beta = 1}};

static const struct variant corrections[] = {{.correction = 0}, {.correction = 0.5}};
static const struct variant powers[] = {{.alpha = 1},   {.alpha = 2},        {.alpha = 3},
                                        {.alpha = 0.5}, {.alpha = 1.5},      {.alpha = INFINITY},
                                        {.alpha = -1},  {.alpha = -INFINITY}};

/* A rule; what is said behind the samples is a field of struct rule. */
#define SPECIAL(fn, samples_, ...)                                                                 \
    {                                                                                              \
        .forward = reference_##fn, .sample = samples_, .samples = COUNT(samples_), __VA_ARGS__     \
    }
#define VARIANTS(variants_)           .variant = variants_, .variants = COUNT(variants_)
#define VARIED(fn, samples, variants) SPECIAL(fn, samples, VARIANTS(variants))
#define MOVES(fn, samples)            SPECIAL(fn, samples, .moves = true)
#define RULE(fn, samples)             SPECIAL(fn, samples, .variants = 0)
/* Without the last few. */
#define SOME(fn, samples_, not_those, ...)                                                         \
    {                                                                                              \
        .forward = reference_##fn, .sample = samples_, .samples = COUNT(samples_) - (not_those),   \
        __VA_ARGS__                                                                                \
    }

const struct rule op_rules[OP_COUNT] = {
    [OP_ADD] = VARIED(add, pairs, alphas),
    [OP_ADD_SCALAR] = VARIED(add, pairs, alphas),
    [OP_SUB] = VARIED(sub, pairs, alphas),
    [OP_MUL] = RULE(mul, pairs),
    [OP_MUL_SCALAR] = RULE(mul, pairs),
    [OP_DIV] = RULE(div, pairs),
    [OP_DIV_SCALAR] = RULE(div, pairs),
    [OP_DIV_MODE] = RULE(div, pairs),
    [OP_DIV_TRUNC] = RULE(div_trunc, divisions),
    [OP_DIV_FLOOR] = RULE(div_floor, divisions),
    [OP_FLOOR_DIVIDE] = RULE(floor_divide, pairs),
    [OP_FLOOR_DIVIDE_] = RULE(floor_divide_, pairs),
    [OP_RSUB] = VARIED(rsub, singles, minuends),
    [OP_RSUB_TENSOR] = VARIED(rsub_tensor, pairs, alphas),
    [OP_NEG] = RULE(neg, singles),
    [OP_POW] =
        SPECIAL(pow, singles, .variant = exponents, .variants = COUNT(exponents), .positive = 1),
    [OP_POW_TENSOR] = SPECIAL(pow_tensor, pairs, .positive = 1),
    [OP_POW_SCALAR] = SPECIAL(pow_tensor, pairs, .positive = 1),
    [OP_REMAINDER] = RULE(remainder, divisions),
    [OP_REMAINDER_SCALAR] = RULE(remainder, divisions),
    [OP_MAXIMUM] = RULE(maximum, pairs),
    [OP_MINIMUM] = RULE(minimum, pairs),
    [OP_CLAMP] = VARIED(clamp, singles, bounds),
    [OP_CLAMP_MIN] = VARIED(clamp, singles, bounds),
    [OP_CLAMP_MAX] = VARIED(clamp, singles, bounds),
    [OP_CLAMP_TENSOR] = RULE(clamp_tensor, triples),
    [OP_CLAMP_TENSOR_MIN] = RULE(clamp_min_tensor, pairs),
    [OP_CLAMP_TENSOR_MAX] = RULE(clamp_max_tensor, pairs),
    [OP_CLAMP_MIN_TENSOR] = RULE(clamp_min_tensor, pairs),
    [OP_CLAMP_MAX_TENSOR] = RULE(clamp_max_tensor, pairs),
    [OP_WHERE] = SPECIAL(where, triples, .moves = true, .bools = 1),
    [OP_ZERO] = MOVES(zero, singles),
    [OP_FILL] =
        SPECIAL(fill_number, singles, .variant = alphas, .variants = COUNT(alphas), .moves = true),
    [OP_FILL_TENSOR] = MOVES(fill_tensor, filled),
    [OP_COPY] = MOVES(copy, copied),
#define OVERWRITTEN SPECIAL(overwrite, overwritten, .moves = true, .bools = 4)
    [OP_EQ_] = OVERWRITTEN,
    [OP_NE_] = OVERWRITTEN,
    [OP_LT_] = OVERWRITTEN,
    [OP_LE_] = OVERWRITTEN,
    [OP_GT_] = OVERWRITTEN,
    [OP_GE_] = OVERWRITTEN,
    [OP_EQ_NUMBER_] = OVERWRITTEN,
    [OP_NE_NUMBER_] = OVERWRITTEN,
    [OP_LT_NUMBER_] = OVERWRITTEN,
    [OP_LE_NUMBER_] = OVERWRITTEN,
    [OP_GT_NUMBER_] = OVERWRITTEN,
    [OP_GE_NUMBER_] = OVERWRITTEN,
#undef OVERWRITTEN
    [OP_ABS] = RULE(abs, singles),
    [OP_SIGN] = MOVES(sign, singles),
    [OP_FLOOR] = RULE(floor, singles),
    [OP_CEIL] = RULE(ceil, singles),
    [OP_ROUND] = RULE(round, singles),
    [OP_ROUND_DECIMALS] = MOVES(round_decimals, roundings),
    [OP_TRUNC] = RULE(trunc, singles),
    [OP_RECIPROCAL] = RULE(reciprocal, singles),
    [OP_SQRT] = SPECIAL(sqrt, singles, .positive = 1),
    [OP_RSQRT] = SPECIAL(rsqrt, singles, .positive = 1),
    [OP_EXP] = RULE(exp, singles),
    [OP_EXP2] = RULE(exp2, singles),
    [OP_EXPM1] = RULE(expm1, singles),
    [OP_LOG] = SPECIAL(log, singles, .positive = 1),
    [OP_LOG1P] = SPECIAL(log1p, singles, .positive = 1),
    [OP_LOG2] = SPECIAL(log2, singles, .positive = 1),
    [OP_LOG10] = SPECIAL(log10, singles, .positive = 1),
    [OP_SIN] = RULE(sin, singles),
    [OP_COS] = RULE(cos, singles),
    [OP_TAN] = SPECIAL(tan, singles, .small = true),
    [OP_SINH] = RULE(sinh, singles),
    [OP_COSH] = RULE(cosh, singles),
    [OP_ATAN] = RULE(atan, singles),
    [OP_ERF] = RULE(erf, singles),
    [OP_SUM] = RULE(sum, singles),
    [OP_SUM_DIM] = RULE(sum_dim, reductions_of_dims),
    [OP_MEAN] = RULE(mean, singles),
    [OP_MEAN_DIM] = RULE(mean_dim, reductions_of_dims),
    [OP_MAX] = RULE(max, reductions_of_all),
    [OP_MIN] = RULE(min, reductions_of_all),
    [OP_MAX_DIM] = RULE(max_dim, reductions_of_dim),
    [OP_MIN_DIM] = RULE(min_dim, reductions_of_dim),
    [OP_AMAX] = SOME(amax, reductions_of_dims, REDUCTIONS_OF_NOTHING, .variants = 0),
    [OP_AMIN] = SOME(amin, reductions_of_dims, REDUCTIONS_OF_NOTHING, .variants = 0),
    [OP_PROD] = RULE(prod, singles),
    [OP_PROD_DIM] = RULE(prod_dim, reductions_of_dim),
    [OP_CUMPROD] = RULE(cumprod, reductions_of_dim),
    [OP_CUMSUM] = RULE(cumsum, reductions_of_dim),
    [OP_VAR] = VARIED(var, reductions_of_dims, corrections),
    [OP_STD] = VARIED(std, reductions_of_dims, corrections),
    [OP_NORM] = VARIED(norm, reductions_of_dims, powers),
    [OP_NORM_DTYPE] = VARIED(norm, reductions_of_dims, powers),
    [OP_VECTOR_NORM] =
        SOME(vector_norm, reductions_of_dims, REDUCTIONS_OF_NOTHING, VARIANTS(powers)),
    [OP_LOGSUMEXP] = SOME(logsumexp, reductions_of_dims, REDUCTIONS_OF_NOTHING, .variants = 0),
    [OP_T] = RULE(t, transposes),
    [OP_VIEW] = RULE(view, views),
    [OP_RESHAPE_ALIAS] = RULE(view, views),
    [OP_ALIAS] = RULE(view, views),
    [OP_UNSAFE_VIEW] = RULE(view, views),
    [OP_TRANSPOSE] = RULE(transpose, swaps),
    [OP_PERMUTE] = RULE(permute, permutations),
    [OP_SQUEEZE] = RULE(squeeze, squeezes),
    [OP_SQUEEZE_DIM] = RULE(squeeze_dim, squeezes),
    [OP_SQUEEZE_DIM_] = RULE(squeeze_dim, squeezes),
    [OP_UNSQUEEZE] = RULE(unsqueeze, unsqueezes),
    [OP_EXPAND] = RULE(expand, expansions),
    [OP_SLICE] = RULE(slice, slices),
    [OP_SELECT] = RULE(select, selections),
    [OP_AS_STRIDED] = RULE(as_strided, layouts),
    [OP_CLONE] = RULE(clone, singles),
    [OP_TO_COPY] = RULE(to_copy, casts),
    [OP_CAT] = MOVES(cat, lists),
    [OP_STACK] = MOVES(stack, stacks),
    [OP_INDEX] = RULE(index, indexings),
    [OP_MASKED_SELECT] = RULE(index, indexings),
    [OP_INDEX_PUT] = MOVES(index_put, puttings),
    [OP_INDEX_SELECT] = RULE(index_select, index_selections),
    [OP_GATHER] = RULE(gather, gatherings),
    [OP_MASKED_FILL] = SPECIAL(masked_fill, maskings, .moves = true, .bools = 2),
    [OP_CONSTANT_PAD_ND] = MOVES(constant_pad_nd, paddings),
    [OP_TRIU] = MOVES(triu, triangles),
    [OP_TRIL] = MOVES(tril, triangles),
    [OP_FLIP] = RULE(flip, flips),
    [OP_MM] = RULE(mm, products),
    [OP_MV] = RULE(mv, matrix_times_vector),
    [OP_DOT] = RULE(dot, dots),
    [OP_BMM] = RULE(bmm, stacks_of_matrices),
    [OP_ADDMM] = SPECIAL(addmm, sums_of_products, VARIANTS(factors), .summand = true),
    [OP_ADDMV] = SPECIAL(addmv, sums_with_a_vector, VARIANTS(factors), .summand = true),
    [OP_BADDBMM] = SPECIAL(baddbmm, sums_of_stacks, VARIANTS(factors), .summand = true),
    [OP_CONVOLUTION] = RULE(convolution, images),
    [OP_RELU] = RULE(relu, singles),
    [OP_LEAKY_RELU] = VARIED(leaky_relu, singles, slopes),
    [OP_LEAKY_RELU_] = VARIED(leaky_relu_, singles, slopes),
    [OP_SIGMOID] = RULE(sigmoid, singles),
    [OP_TANH] = RULE(tanh, singles),
    [OP_GELU] = VARIED(gelu, singles, forms),
    [OP_SILU] = RULE(silu, singles),
    [OP_ELU] = VARIED(elu, singles, curves),
    [OP_ELU_] = VARIED(elu_, singles, rises),
    [OP_SOFTPLUS] = VARIED(softplus, singles, softnesses),
    [OP_HARDTANH] = VARIED(hardtanh, singles, intervals),
    [OP_LOG_SIGMOID] = RULE(log_sigmoid, singles),
    [OP_SOFTMAX] = RULE(softmax, lines),
    [OP_LOG_SOFTMAX] = RULE(log_softmax, lines),
    [OP_NLL_LOSS] = SPECIAL(nll_loss, classes, VARIANTS(reductions), .classes = true),
    [OP_NLL_LOSS2D] = SPECIAL(nll_loss2d, image_classes, VARIANTS(reductions), .classes = true),
    [OP_MSE_LOSS] = VARIED(mse_loss, compared, reductions),
    [OP_SMOOTH_L1] = VARIED(smooth_l1_loss, compared, widths),
    [OP_HUBER] = VARIED(huber_loss, compared, widths),
    [OP_BCE] = SPECIAL(binary_cross_entropy, weighed, VARIANTS(reductions), .probabilities = true),
    [OP_BCE_LOGITS] = VARIED(binary_cross_entropy_with_logits, weighed_logits, reductions),

    [OP_EQ] = RULE(eq, integers),
    [OP_NE] = RULE(ne, integers),
    [OP_LT] = RULE(lt, integers),
    [OP_LE] = RULE(le, integers),
    [OP_GT] = RULE(gt, pairs),
    [OP_GE] = RULE(ge, pairs),
    [OP_LOGICAL_AND] = RULE(logical_and, integers),
    [OP_LOGICAL_OR] = RULE(logical_or, integers),
    [OP_LOGICAL_XOR] = RULE(logical_xor, integers),
    [OP_LOGICAL_NOT] = RULE(logical_not, integers),
    [OP_ISNAN] = RULE(isnan, singles),
    [OP_ISFINITE] = RULE(isfinite, singles),
    [OP_ISINF] = RULE(isinf, singles),
    [OP_BITWISE_AND] = RULE(bitwise_and, integers),
    [OP_BITWISE_OR] = RULE(bitwise_or, integers),
    [OP_BITWISE_XOR] = RULE(bitwise_xor, integers),
    [OP_BITWISE_NOT] = RULE(bitwise_not, integers),
    [OP_ARGMAX] = RULE(argmax, flattened),
    [OP_ARGMIN] = RULE(argmin, flattened),
    [OP_ALL] = RULE(all, flattened),
    [OP_ANY] = RULE(any, flattened),
    [OP_NONZERO] = RULE(nonzero, singles),
};
