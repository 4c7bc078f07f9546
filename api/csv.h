/* api/csv.h - rows of numbers as comma-separated text (RFC 4180).
 *
 * A first line without any number is a header and is skipped. Numbers are JSON's, and may stand in
 * quotes. Lines end with LF or CRLF; a byte order mark is skipped.
 */
#ifndef API_CSV_H
#define API_CSV_H

#include <stddef.h>
#include <stdint.h>

#include "engine/dtype.h"
#include "engine/err.h"

struct csv {
    const char *text, *end; /* borrowed; text: the first line of numbers … */
    int64_t line;           /* … and which it is, counted from 1 */
    int64_t rows, columns;
};

/* Counts. errors MALFORMED no rows, or not all of as many columns; names the line */
MUST_USE enum err_kind csv_open(const char *text, size_t bytes, struct csv *out, struct err *e);
/* The line on which a row (from 0 on) begins. */
int64_t csv_line(const struct csv *csv, int64_t row);
/* The numbers of so many columns from `first` on, row by row, as dtype.
 *   errors MALFORMED no number · INVALID one that is none of dtype's; names line and column */
MUST_USE enum err_kind csv_numbers(const struct csv *csv, int64_t first, int64_t columns,
                                   enum dtype dtype, void *to, struct err *e);

#endif
