#include "tests/api/variants.h"

#include <stdlib.h>

#include "engine/kernels.h"

int variants_setup(void **state)
{
    struct variants *v = calloc(1, sizeof *v);
    assert_non_null(v);
    for (int i = 0; kernels_names[i] && v->count < VARIANTS_MAX; i++)
        if (kernels_find(kernels_names[i]))
            v->client[v->count++] = client_new(kernels_names[i]);
    assert_true(v->count >= 1);
    *state = v;
    return 0;
}

int variants_teardown(void **state)
{
    struct variants *v = *state;
    for (int i = 0; i < v->count; i++)
        client_free(v->client[i]);
    free(v);
    return 0;
}
