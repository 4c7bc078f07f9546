/* engine/op_reduce.c - sum and mean over everything, and the sum that undoes a broadcast. */
#include "engine/op_reduce.h"

#include "engine/rows.h"

/* dst is reduced in blocks of so many neighbouring columns, whose sums stay in the cache. */
#define COLUMNS 256

/* A run of elements along dst's last dimension, and where their addends begin. */
struct block {
    void *dst;
    int64_t n, dst_step;
    int64_t x_at, times_at;
};

/* The rows of x that are summed into one element or block of dst. */
struct reduction_rows {
    struct rows rows;
    const void *x, *times;
    bool along; /* the last dimension is summed too */
    int64_t n, x_step, times_step;
};

#define REAL float
#include "engine/op_reduce.inc"
#define REAL double
#include "engine/op_reduce.inc"

/* Splits x's dimensions into those that dst keeps and those it sums over. */
static struct reduction_rows split(const struct tensor *dst, const struct tensor *x,
                                   const struct tensor *times, struct rows *kept)
{
    int rank = x->shape.rank, last = rank - 1, pad = rank - dst->shape.rank;
    struct shape keep = {.rank = rank}, drop = {.rank = rank};
    for (int d = 0; d < rank; d++) {
        bool kept_here = d >= pad && dst->shape.dim[d - pad] == x->shape.dim[d];
        keep.dim[d] = kept_here ? x->shape.dim[d] : 1;
        drop.dim[d] = kept_here ? 1 : x->shape.dim[d];
    }
    const struct tensor *seen[ROWS_TENSORS_MAX] = {x, times ? times : x, dst};
    struct reduction_rows over = {.x = tensor_data(x), .times = times ? tensor_data(times) : NULL};
    *kept = rows_begin(&x->shape, seen, 3);
    kept->shape = keep;
    kept->n = rank ? keep.dim[last] : 1;
    kept->left = kept->n ? shape_count(&keep) / kept->n : 0;
    over.rows = *kept;
    over.along = rank && drop.dim[last] != 1;
    over.n = rank ? drop.dim[last] : 1;
    over.rows.shape = drop;
    over.rows.left = 1;
    for (int d = 0; d < last; d++)
        over.rows.left *= drop.dim[d];
    over.x_step = kept->step[0];
    over.times_step = kept->step[1];
    return over;
}

void ISA_FN(sum_to)(struct tensor *dst, const struct tensor *x, const struct tensor *times,
                    double scale)
{
    struct rows kept;
    struct tensor scalar = *dst, run = *x;
    if (!times && tensor_count(dst) == 1 && tensor_is_contiguous(x)) {
        scalar.shape.rank = 0; /* all of it is one row, not many */
        dst = &scalar;
        run.shape = (struct shape){.rank = 1, .dim = {tensor_count(x)}};
        run.stride[0] = 1;
        x = &run;
    }
    struct reduction_rows over = split(dst, x, times, &kept);
    size_t bytes = dtype_bytes(dst->dtype);
    for (; kept.left > 0; rows_next(&kept))
        for (int64_t j = 0; j < kept.n; j += COLUMNS) {
            struct block b = {.n = kept.n - j < COLUMNS ? kept.n - j : COLUMNS,
                              .dst_step = kept.step[2],
                              .x_at = kept.at[0] + j * kept.step[0],
                              .times_at = kept.at[1] + j * kept.step[1]};
            b.dst = (char *)tensor_data(dst) + (size_t)(kept.at[2] + j * b.dst_step) * bytes;
            BY_TYPE(dst->dtype, sum_block, &b, &over, scale);
        }
}

static enum err_kind infer_scalar(const struct op_call *c, struct tensor *out, struct err *e)
{
    if (!dtype_is_float(c->in[0]->dtype))
        return err_set(e, ERR_INVALID, "", "%s needs a floating point tensor, got %s", c->op->name,
                       dtype_name(c->in[0]->dtype));
    out->shape.rank = 0;
    return ERR_OK;
}

enum err_kind ISA_FN(sum_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_scalar(c, out, e);
}

void ISA_FN(sum_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, sum_all, c, 1);
}

void ISA_FN(sum_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, fill, c, 1);
}

enum err_kind ISA_FN(mean_infer)(const struct op_call *c, struct tensor *out, struct err *e)
{
    return infer_scalar(c, out, e);
}

/* Of no elements: 0 / 0, as PyTorch gives. */
void ISA_FN(mean_forward)(const struct op_call *c)
{
    BY_TYPE(c->out->dtype, sum_all, c, (double)tensor_count(c->in[0]));
}

void ISA_FN(mean_backward)(const struct op_call *c)
{
    BY_TYPE(c->grad_out->dtype, fill, c, (double)tensor_count(c->grad_in[0]));
}
