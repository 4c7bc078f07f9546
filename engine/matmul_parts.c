/* engine/matmul_parts.c - parts of a product, and large products on several threads. */
#include "engine/crew.h"
#include "engine/matmul.h"

/* Flops. To wake a thread takes 10 to 70 us, in which another does 1e6 to 7e6; but who has helped
 * is awake for the next product. Below the least what the two threads take from each other's caches
 * costs more than it gives; shorter parts were no faster. */
#define SHARED_LEAST 3e6
#define PART_FLOPS   1.2e6
#define PARTS        16 /* about, of a large product */

/* The largest tiles have so many rows and columns, or a divisor of that: a part is whole tiles. */
#define GRAIN_ROWS    12
#define GRAIN_COLUMNS 32

/* With so few rows a product is as fast as memory is: columns enough that a row of a part is a run
 * of pages. */
#define ROWS_FEW       3
#define COLUMNS_OF_FEW 2048

/* With up to so many, it still waits for a b that comes from memory: columns are halved until none
 * has more than so many, so that two threads or four have as much to do as each other. */
#define ROWS_OF_FAR    64
#define COLUMNS_OF_FAR 1024

static struct matrix matrix_from(struct matrix x, enum dtype dtype, int64_t row, int64_t col)
{
    if (x.data)
        x.data = (char *)x.data +
                 (row * x.row_stride + col * x.col_stride) * (int64_t)dtype_bytes(dtype);
    return x;
}

struct matmul_args matmul_part(const struct matmul_args *args, int64_t row, int64_t rows,
                               int64_t col, int64_t cols)
{
    struct matmul_args x = *args;
    x.m = rows;
    x.n = cols;
    x.a = matrix_from(x.a, x.dtype, row, 0);
    x.b = matrix_from(x.b, x.dtype, 0, col);
    x.add = matrix_from(x.add, x.dtype, row, col);
    x.gate = matrix_from(x.gate, x.dtype, row, col);
    x.c = matrix_from(x.c, x.dtype, row, col);
    x.beside = matrix_from(x.beside, x.dtype, row, col);
    return x;
}

/* A product in parts of so many columns, or rows. */
struct cut {
    matmul_fn *matmul;
    const struct matmul_args *args;
    bool by_columns;
    int64_t size;
};

static void run_part(void *arg, size_t i, void *workspace)
{
    const struct cut *cut = arg;
    const struct matmul_args *x = cut->args;
    int64_t at = (int64_t)i * cut->size, left = (cut->by_columns ? x->n : x->m) - at;
    int64_t size = left < cut->size ? left : cut->size;
    struct matmul_args part =
        cut->by_columns ? matmul_part(x, 0, x->m, at, size) : matmul_part(x, at, size, 0, x->n);
    part.workspace = workspace;
    cut->matmul(&part);
}

/* Of a part, for rows of b to be long runs where they come from memory; 0: any will do. */
static int64_t least_columns(const struct matmul_args *x)
{
    double bytes = (double)x->k * (double)x->n * (double)dtype_bytes(x->dtype);
    if (x->m <= ROWS_FEW)
        return COLUMNS_OF_FEW;
    if (x->m > ROWS_OF_FAR || bytes < MATMUL_MEMORY_BYTES || x->b.col_stride != 1)
        return 0;
    int64_t columns = x->n, pair = 2 * GRAIN_COLUMNS;
    do
        columns = (columns + pair - 1) / pair * GRAIN_COLUMNS;
    while (columns > COLUMNS_OF_FAR);
    return columns;
}

void matmul_shared(matmul_fn *matmul, const struct matmul_args *args, struct crew *crew)
{
    double flops = 2 * (double)args->m * (double)args->n * (double)args->k;
    if (!crew || flops < SHARED_LEAST) {
        matmul(args);
        return;
    }
    double parts = flops / PART_FLOPS < PARTS ? flops / PART_FLOPS : PARTS;
    int64_t columns = args->n / GRAIN_COLUMNS, rows = args->m / GRAIN_ROWS;
    /* Columns first: what is packed of b is then packed once. */
    struct cut cut = {matmul, args, .by_columns = columns >= (int64_t)parts / 2 || columns >= rows};
    int64_t length = cut.by_columns ? args->n : args->m;
    int64_t grains = (cut.by_columns ? columns : rows) / (int64_t)parts;
    cut.size = (grains > 1 ? grains : 1) * (cut.by_columns ? GRAIN_COLUMNS : GRAIN_ROWS);
    int64_t least = least_columns(args);
    if (cut.by_columns && cut.size < least)
        cut.size = least;
    crew_do(crew, run_part, &cut, (size_t)((length + cut.size - 1) / cut.size), args->workspace);
}
