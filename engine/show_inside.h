/* engine/show_inside.h - what the show*.c files share; for these only. */
#ifndef ENGINE_SHOW_INSIDE_H
#define ENGINE_SHOW_INSIDE_H

#include "engine/show.h"

/* str() and repr() of a tensor are the same. */
void show_tensor(struct text *t, const struct tensor *x);
/* A string with Python's quotes and escapes. ascii: all that is not ASCII is escaped. */
void show_quoted(struct text *t, const char *text, size_t bytes, bool ascii);

/* The digits of a number x >= 0, an infinity or a NaN, as repr() gives them; NUL-terminated.
 * alternate: with a point in any case, "1.e+16". Returns the bytes. */
#define FLOAT_REPR_BYTES 32
size_t float_repr(double x, bool alternate, char *out);
/* The same by a type of the mini-language: one of eEfFgGn% or, for none, 0.
 *   precision  up to FORMAT_WIDTH_MAX; < 0: the type's own */
#define FLOAT_DIGITS_BYTES (FORMAT_WIDTH_MAX + 400)
size_t float_digits(double x, char type, int precision, bool alternate, char *out);
/* x by one of the types bdnoxX; not terminated. Returns the bytes. */
#define INT_DIGITS_BYTES 64
size_t int_digits(uint64_t x, char type, char *out);

#endif
