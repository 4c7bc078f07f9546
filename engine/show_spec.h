/* engine/show_spec.h - a format spec of Python's mini-language, read. For show_format.c only. */
#ifndef ENGINE_SHOW_SPEC_H
#define ENGINE_SHOW_SPEC_H

#include "engine/err.h"
#include "engine/value.h"

struct spec {
    const char *fill; /* one character; it points into the spec's text or to a literal */
    size_t fill_bytes;
    char align; /* one of < > ^ = */
    char sign;  /* + - or a blank; 0: none was given */
    bool no_negative_zero, alternate;
    int width, precision; /* up to FORMAT_WIDTH_MAX; -1: none was given */
    char group;           /* , or _; 0: none */
    uint32_t type;        /* a character, checked by whoever formats; 0: none (a float only) */
    const char *of;       /* the name of the value's type */
};

/* x: the bool, int, float or string that it is for; decides what is not given.
 *   errors  INVALID in Python's words */
MUST_USE enum err_kind show_spec_read(struct spec *s, const struct value *x, const char *text,
                                      size_t bytes, struct err *e);
/* "Unknown format code 'd' for object of type 'float'" */
enum err_kind spec_unknown_type(const struct spec *s, struct err *e);

#endif
