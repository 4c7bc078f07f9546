/* tests/engine/lab.h - what the tests of the engine have in common: a tape, tensors in memory that
 * outlives its rounds, and numbers that look random and are always the same. */
#ifndef TESTS_LAB_H
#define TESTS_LAB_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/tape.h"

#define COUNT(array)   (sizeof(array) / sizeof *(array))
#define LAB_INPUTS_MAX 4 /* of an operation that is tried here */

/* The initializer of a struct shape. */
#define DIMS(...)                                                                                  \
    {                                                                                              \
        .rank = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .dim = { __VA_ARGS__ }  \
    }
#define SCALAR                                                                                     \
    {                                                                                              \
        .rank = 0                                                                                  \
    }
#define SHAPE(...) ((struct shape)DIMS(__VA_ARGS__))

struct lab {
    struct tape tape;
    struct arena memory; /* of the tensors below; lab_clear takes it back */
    struct err e;
    uint64_t seed;
};

/* k NULL: the best kernels. */
void lab_open(struct lab *l, const struct kernels *k);
void lab_close(struct lab *l);
/* Starts a round of the tape and takes the tensors back. */
void lab_clear(struct lab *l);

/* A lab for each instruction set that this CPU has; the last one is the baseline's. Group setup
 * and teardown of cmocka. */
extern struct lab isa_lab[4];
extern int isa_labs;
int isa_labs_open(void **state);
int isa_labs_close(void **state);

/* In (-1, 1), never 0: a multiple of 2^-18, so that a few sums and products are exact in float32.
 */
double lab_draw(struct lab *l);

/* A row-major leaf of zeros; it asks for no gradient and has no slot. */
struct tensor *lab_zeros(struct lab *l, enum dtype dtype, struct shape shape);
/* The same with drawn numbers (floats only); asks for a gradient. */
struct tensor *lab_leaf(struct lab *l, enum dtype dtype, struct shape shape);
/* Gives a leaf a slot, whose numbers are NaN so far. Returns it. */
struct tensor *lab_slot(struct lab *l, struct tensor *leaf);

/* The i-th element in row-major order, whatever the strides and the type. */
double lab_get(const struct tensor *t, int64_t i);
void lab_put(struct tensor *t, int64_t i, double value);

/* op_apply that must succeed. The inputs that the row does not have are NULL. */
struct tensor *lab_apply(struct lab *l, enum op_id id, const struct op_args *args, struct tensor *a,
                         struct tensor *b, struct tensor *c);
/* tape_backward that must succeed. */
void lab_backward(struct lab *l, struct tensor *root, const struct tensor *gradient, bool retain);

/* The same bits, or both NaN. */
bool lab_same(double a, double b);
/* All elements of a and b (of one count): |a - b| <= tolerance * the largest |b|. */
void lab_assert_close(const struct tensor *a, const struct tensor *b, double tolerance);

/* From here on the tape's kernels count how often the derivative of each row has run, from 0 on;
 * lab_count_end gives the tape its own back. One tape at a time. Returns the counting kernels, in
 * which more may be counted. */
struct kernels *lab_count_slopes(struct tape *t);
int lab_slopes(enum op_id id);
void lab_count_end(struct tape *t);

/* While set, the n-th allocation from now on fails (0: the next one), and all after it. -1: none.
 * lab_faults_fired says how many did. */
void lab_fail_allocation(int n);
int lab_faults_fired(void);

/* One for the tests of a program; cmocka's setup and teardown open and close it. */
extern struct lab lab;
int lab_start(void **state);
int lab_finish(void **state);

#endif
