/* api/npy.h - one array as NumPy keeps it: .npy, versions 1.0, 2.0 and 3.0.
 *
 * Source: numpy/lib/format.py, whose text is the format's definition.
 */
#ifndef API_NPY_H
#define API_NPY_H

#include "api/wire.h"

#define NPY_LENGTH_AT 8 /* of the head, least byte first */

/* Reads the head of a whole file; out->data points into it. Nothing is allocated.
 *   errors  MALFORMED no .npy, or cut, or longer than its shape says
 *           INVALID   what a tensor cannot be: another byte order or type, too many dimensions */
MUST_USE enum err_kind npy_read(const void *file, size_t bytes, struct wire *out, struct err *e);
/* t as a file, from the start of out on. */
void npy_write(struct json_out *out, const struct tensor *t);

#endif
