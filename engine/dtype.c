#include "engine/dtype.h"

#include <assert.h>

static const struct {
    size_t bytes;
    const char *name, *type_name;
} dtypes[] = {
#define DTYPE_ROW(name, text, type, type_name) [DTYPE_##name] = {sizeof(type), text, type_name},
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

const char *dtype_type_name(enum dtype dtype)
{
    assert(dtype < DTYPE_COUNT);
    return dtypes[dtype].type_name;
}
