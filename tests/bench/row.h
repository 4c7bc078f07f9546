/* tests/bench/row.h - a result, as bench.py reads it: one JSON object a line on stdout.
 *
 * rows.py writes the same and says what becomes of it.
 */
#ifndef BENCH_ROW_H
#define BENCH_ROW_H

#include "tests/bench/paired.h"

/* Which number has to be where: of is "ratio" or "figure", sense ">=" or "<=". */
struct target {
    const char *of, *sense;
    double value;
};

/* Texts hold no character that JSON would escape. */
struct row {
    const char *bench;
    const char *what;
    const char *beside; /* NULL: nothing */
    const char *unit;   /* of figure and peer */
    const struct spread *figure;
    const struct spread *peer;   /* NULL: nothing beside it */
    const struct spread *ratio;  /* how many times better than the peer; NULL: none */
    const struct target *target; /* NULL: for information */
};

void row_print(const struct row *row);

#endif
