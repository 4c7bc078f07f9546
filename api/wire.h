/* api/wire.h - numbers as bytes: the arrays of safetensors and .npy, little-endian and row-major.
 *
 * What comes in is read into the types that the engine computes in, by the rules that JSON's
 * numbers have: rounded once; what a type cannot hold is refused, with the element's pointer.
 */
#ifndef API_WIRE_H
#define API_WIRE_H

#include "api/json_in.h"
#include "api/json_out.h"
#include "engine/tensor.h"

/* kind, enumerator and name in safetensors, .npy's name (NULL: it has none), C type. */
#define WIRE_TYPES(X)                                                                              \
    X(FLOAT, F64, "<f8", double)                                                                   \
    X(FLOAT, F32, "<f4", float)                                                                    \
    X(HALF, F16, "<f2", uint16_t)                                                                  \
    X(HALF, BF16, NULL, uint16_t)                                                                  \
    X(INTEGER, I64, "<i8", int64_t)                                                                \
    X(INTEGER, I32, "<i4", int32_t)                                                                \
    X(INTEGER, I16, "<i2", int16_t)                                                                \
    X(INTEGER, I8, "|i1", int8_t)                                                                  \
    X(INTEGER, U64, "<u8", uint64_t)                                                               \
    X(INTEGER, U32, "<u4", uint32_t)                                                               \
    X(INTEGER, U16, "<u2", uint16_t)                                                               \
    X(INTEGER, U8, "|u1", uint8_t)                                                                 \
    X(TRUTH, BOOL, "|b1", uint8_t)

enum wire_type {
#define WIRE_ENUM(kind, id, ...) WIRE_##id,
    WIRE_TYPES(WIRE_ENUM)
#undef WIRE_ENUM
        WIRE_COUNT /* none of these */
};

size_t wire_bytes(enum wire_type type);
const char *wire_name(enum wire_type type);  /* in safetensors */
const char *wire_descr(enum wire_type type); /* in .npy; NULL: none */
enum wire_type wire_of_dtype(enum dtype dtype);

/* An array as it came: its data lies in the body, at any address. */
struct wire {
    const char *name; /* borrowed; NULL: .npy names nothing */
    enum wire_type type;
    struct shape shape;
    bool columns; /* it lies in Fortran's order, the first index fastest */
    const unsigned char *data;
};

/* The bytes that a shape takes; false: more than a size holds. */
MUST_USE bool wire_size(enum wire_type type, const struct shape *shape, size_t *out);
/* Can the data be used as it lies, as numbers of dtype? */
bool wire_is_in_place(const struct wire *w, enum dtype dtype);
/* Writes all elements to `to`, as dtype.
 *   errors  INVALID with the pointer to the very element: too large for dtype, or, as INT64, not
 *           whole; bools, which are no numbers in JSON either
 *           NOMEM */
MUST_USE enum err_kind wire_read(const struct wire *w, enum dtype dtype, void *to, struct err *e);

/* Appends the elements of t, whatever its strides. They have to come at a multiple of their size:
 * who writes the head before them sees to that. */
void wire_write(struct json_out *out, const struct tensor *t);

#endif
