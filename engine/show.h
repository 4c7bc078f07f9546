/* engine/show.h - values as Python and PyTorch print them.
 *
 * str(x) and repr(x) of every kind of value: tensors with PyTorch's default print options
 * (precision 4, threshold 1000, edgeitems 3, linewidth 80), floats by Python's repr (the shortest
 * text that reads back), strings with Python's quotes and escapes. An address, as in
 * "<AddBackward0 object at 0x7f…>", is made up and the same in every run.
 * The text's `cut` and `failed` say what did not fit into it. decimal_init comes first.
 * Threads: pure.
 * Source:  PyTorch 1.13, torch/_tensor_str.py; Python 3.11, Objects/unicodeobject.c, PEP 3101.
 */
#ifndef ENGINE_SHOW_H
#define ENGINE_SHOW_H

#include "engine/err.h"
#include "engine/text.h"
#include "engine/value.h"

#define SHOW_DEPTH_MAX   200  /* a list in more lists than that is shown as [...] */
#define FORMAT_WIDTH_MAX 1000 /* characters, and digits behind the point */

/* print(x), str(x) */
void show_str(struct text *t, const struct value *x);
/* repr(x): as it stands inside a list */
void show_repr(struct text *t, const struct value *x);
/* ascii(x): repr(x) with all that is not ASCII escaped */
void show_ascii(struct text *t, const struct value *x);
/* format(x, spec), of f"{x:spec}": Python's mini-language for bool, int, float and str; a 0-d
 * tensor is formatted as its number; for all else only the empty spec.
 *   errors  INVALID in Python's words: "Unknown format code 'd' for object of type 'float'",
 *           "unsupported format string passed to Tensor.__format__"; a width or precision over
 *           FORMAT_WIDTH_MAX */
MUST_USE enum err_kind show_format(struct text *t, const struct value *x, const char *spec,
                                   size_t bytes, struct err *e);

/* What Python's messages call the type of x: "float", "Tensor", "NoneType", "torch.dtype". */
const char *value_type_name(const struct value *x);
/* The element of x so many places behind its first one, as .item() gives it. x has numbers. */
struct value value_of_element(const struct tensor *x, int64_t at);

#endif
