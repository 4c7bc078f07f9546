#include "engine/dtype.h"

#include <assert.h>
#include <stdint.h>

static const struct {
    size_t bytes;
    const char *name;
} dtypes[] = {
#define DTYPE_ROW(name, text, type) [DTYPE_##name] = {sizeof(type), text},
    DTYPES(DTYPE_ROW)
#undef DTYPE_ROW
};

size_t dtype_bytes(enum dtype dtype)
{
    assert(dtype < DTYPE_COUNT);
    return dtypes[dtype].bytes;
}

const char *dtype_name(enum dtype dtype)
{
    assert(dtype < DTYPE_COUNT);
    return dtypes[dtype].name;
}
