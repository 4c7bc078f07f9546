/* tests/engine/op_rules.h - what each row of OPS has to compute, in plain double arithmetic, and
 * the samples that it is tried with.
 *
 * op_rules has an entry per row, by its id; test_ops.c fails for a row without one. */
#ifndef TESTS_OP_RULES_H
#define TESTS_OP_RULES_H

#include "tests/engine/lab.h"

#define VALUES_MAX 1024

/* A row-major tensor of the reference. Of an input that is left out the rank is -1. */
struct values {
    struct shape shape;
    double x[VALUES_MAX];
};

/* How an input lies in memory. The first four are leaves. */
enum layout {
    ROWS,
    TRANSPOSED, /* the last two dimensions are swapped in memory */
    STRIDED,    /* every second element, not from the first on */
    EXPANDED,   /* dimension 0 has stride 0 */
    T_OF_LEAF   /* t() of a row-major leaf (rank 2) */
};

struct sample {
    struct shape shape[LAB_INPUTS_MAX];
    enum layout layout[LAB_INPUTS_MAX];
    struct op_args args;
    int inputs;                    /* 0: as many as the row names */
    int64_t below[LAB_INPUTS_MAX]; /* > 0: the input is of integers from 0 to below it; … */
    bool from_end;                 /* … or from -below */
};

/* Every sample is tried with every variant of the row's arguments. */
struct variant {
    double alpha, beta, correction;
    bool tanh;
    enum reduction reduction;
};

struct rule {
    /* Sets *y, its shape too. The rank of the shape behind the last input is -1. */
    void (*forward)(const struct op_args *a, const struct values *in, struct values *y);
    const struct sample *sample;
    int samples;
    const struct variant *variant;
    int variants;       /* 0: the sample's own arguments */
    bool moves;         /* an element of the output may have nothing to do with some input */
    unsigned bools;     /* bit i: input i is of bools */
    bool small;         /* the inputs are below 1 */
    unsigned positive;  /* bit i: input i is above 0 */
    bool classes;       /* input 1 is of classes of input 0 */
    bool probabilities; /* input 0 is between 0 and 1 */
    bool summand;       /* input 0 is ignored if beta is 0 */
};

extern const struct rule op_rules[OP_COUNT];

#endif
