/* engine/dtype.h - the element types of tensors. */
#ifndef ENGINE_DTYPE_H
#define ENGINE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* enumerator, PyTorch's name, C type, the name in PyTorch's messages. The order is that of
 * promotion: mixing two gives the later one (a bool with an integer gives the integer, an integer
 * with a float the float, float32 with float64 gives float64). */
#define DTYPES(X)                                                                                  \
    X(BOOL, "bool", bool, "Bool")                                                                  \
    X(INT64, "int64", int64_t, "Long")                                                             \
    X(FLOAT32, "float32", float, "Float")                                                          \
    X(FLOAT64, "float64", double, "Double")

enum dtype {
#define DTYPE_ENUM(name, ...) DTYPE_##name,
    DTYPES(DTYPE_ENUM)
#undef DTYPE_ENUM
        DTYPE_COUNT
};

size_t dtype_bytes(enum dtype dtype);
const char *dtype_name(enum dtype dtype);
/* "Float": torch.FloatTensor, "result type Float can't be cast to …" */
const char *dtype_type_name(enum dtype dtype);

static inline bool dtype_is_float(enum dtype dtype)
{
    return dtype == DTYPE_FLOAT32 || dtype == DTYPE_FLOAT64;
}

#endif
