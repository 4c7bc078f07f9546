/* tests/engine/op_tables.h - tables of what a row gives for a few numbers, and of what it refuses.
 */
#ifndef TESTS_OP_TABLES_H
#define TESTS_OP_TABLES_H

#include "tests/engine/lab.h"

#define F32 DTYPE_FLOAT32
#define F64 DTYPE_FLOAT64
#define I64 DTYPE_INT64
#define B8  DTYPE_BOOL

#define LIST_MAX 12

/* Numbers, and what a tensor of them is. */
struct numbers {
    enum dtype dtype;
    struct shape shape;
    double x[LIST_MAX];
};

struct tensor *numbers_make(struct lab *l, const struct numbers *n);
/* The same type, shape and bits (or both NaN). */
bool numbers_equal(const struct tensor *t, const struct numbers *n);

/* A row of one input. */
struct value {
    enum op_id id;
    struct op_args args;
    struct numbers in, out;
};

/* On every instruction set. */
void assert_values(const struct value *values, size_t count);

/* A row of one input that it does not take, and words of what it says then. */
struct misfit {
    enum op_id id;
    struct op_args args;
    enum dtype dtype;
    struct shape shape;
    const char *words;
};

void assert_refused(const struct misfit *misfits, size_t count);

#endif
