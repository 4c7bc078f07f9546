/* engine/show.h - values as Python and PyTorch print them.
 *
 * str(x) and repr(x) of every kind of value: tensors with PyTorch's default print options
 * (precision 4, threshold 1000, edgeitems 3, linewidth 80), floats by Python's repr (the shortest
 * text that reads back), strings with Python's quotes and escapes.
 * Threads: pure.
 * Source:  PyTorch 1.13, torch/_tensor_str.py; Python 3.11, Objects/unicodeobject.c, PEP 3101.
 */
#ifndef ENGINE_SHOW_H
#define ENGINE_SHOW_H

#include "engine/mem.h"
#include "engine/value.h"

/* A text that grows in an arena. Zeroed but for arena and max it is empty. */
struct text {
    struct arena *arena;
    char *at; /* NUL-terminated once anything was added; NULL before */
    size_t bytes, room;
    size_t max;  /* more than that is cut off … */
    bool cut;    /* … and this set; also when there is no memory (failed too) */
    bool failed; /* no memory */
};
void text_add(struct text *t, const char *bytes, size_t count);
void text_addf(struct text *t, const char *format, ...) PRINTF_LIKE(2, 3);

/* print(x), str(x) */
void show_str(struct text *t, const struct value *x);
/* repr(x): as it stands inside a list */
void show_repr(struct text *t, const struct value *x);
/* format(x, spec), of f"{x:spec}": Python's mini-language for bool, int, float and str; a 0-d
 * tensor is formatted as its number; for all else only the empty spec. errors INVALID, in Python's
 * words: "Unknown format code 'd' for object of type 'float'", "unsupported format string passed to
 * Tensor.__format__" */
MUST_USE enum err_kind show_format(struct text *t, const struct value *x, const char *spec,
                                   size_t bytes, struct err *e);
/* "float", "Tensor", "NoneType": type(x).__name__ */
const char *value_type_name(const struct value *x);

#endif
