#include "api/json_shape.h"

#include <stdio.h>

void json_shape_open(struct json_shape *s)
{
    if (s->fault)
        return;
    if (s->depth)
        s->count[s->depth - 1]++;
    if (s->depth == s->rank) {
        s->fault = "must be a number";
    } else if (s->depth == JSON_RANK_MAX) {
        s->fault = "is nested too deep: a tensor has 8 dimensions at most";
    } else {
        if (s->rank < 0)
            s->dim[s->depth] = -1;
        s->count[s->depth++] = 0;
    }
}

void json_shape_close(struct json_shape *s)
{
    if (s->fault)
        return;
    if (s->rank < 0)
        s->rank = s->depth;
    int64_t count = s->count[--s->depth];
    int64_t *dim = &s->dim[s->depth];
    if (*dim < 0)
        *dim = count;
    if (*dim != count) {
        s->fault = "is longer or shorter than the rows before";
        s->length = count;
    }
}

void json_shape_numbers(struct json_shape *s, int64_t count)
{
    if (s->fault)
        return;
    if (s->rank < 0)
        s->rank = s->depth;
    if (s->depth < s->rank) {
        s->fault = "must be an array, as the elements before it";
        count = 1;
    }
    s->count[s->depth - 1] += count;
}

void json_shape_other(struct json_shape *s)
{
    json_shape_numbers(s, 1);
    if (!s->fault)
        s->fault = "must be a number";
}

void json_shape_pointer(const struct json_shape *s, char *out, size_t bytes)
{
    size_t used = 0;
    *out = '\0';
    for (int d = 0; d < s->depth && used < bytes; d++)
        used += (size_t)snprintf(out + used, bytes - used, "/%lld", (long long)s->count[d] - 1);
}
