/* engine/dtype.h - the element types of tensors. */
#ifndef ENGINE_DTYPE_H
#define ENGINE_DTYPE_H

#include <stddef.h>

/* enumerator, PyTorch's name, C type. The order is that of promotion: mixing two gives the later
 * one (an integer with a float gives the float, float32 with float64 gives float64). */
#define DTYPES(X)                                                                                  \
    X(INT64, "int64", int64_t)                                                                     \
    X(FLOAT32, "float32", float)                                                                   \
    X(FLOAT64, "float64", double)

enum dtype {
#define DTYPE_ENUM(name, text, type) DTYPE_##name,
    DTYPES(DTYPE_ENUM)
#undef DTYPE_ENUM
        DTYPE_COUNT
};

size_t dtype_bytes(enum dtype dtype);
const char *dtype_name(enum dtype dtype);

static inline int dtype_is_float(enum dtype dtype)
{
    return dtype == DTYPE_FLOAT32 || dtype == DTYPE_FLOAT64;
}

#endif
