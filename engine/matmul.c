/* engine/matmul.c - the matrix products for one instruction set.
 *
 * c is made of tiles of rows x columns that live in registers, a vector of W columns each:
 *     for each k:  tile[i][j] = fma(a[i][k], b[k][j], tile[i][j])
 * so neighbouring outputs share the loads and every output is its own chain. Between two blocks of
 * k a tile waits in c and goes on from there: the same chain.
 *
 * Around the tiles, outermost first:
 *     BLOCK_BYTES of b (depth k's x so many columns) are kept in the workspace, in panels as wide
 *     as a tile, each row of a panel contiguous; one whose rows are contiguous already is used
 *     where it is, unless many rows of a come to it;
 *     BLOCK_ROWS of a, which should stay in the second-level cache, go over these panels;
 *     a panel stays there, too, while the tiles of these rows pass over it: the processor fetches
 *     its rows in time, and each block of k costs c another way to memory and back.
 * With few k's it is the other way round: a panel lives in registers, and rows of c pass by.
 * Of a a tile reads the elements one by one, and any stride will do, but that of whole pages: such
 * lines share a few places of the caches, and are copied to A_BYTES of the workspace. With 16
 * registers so are many columns of an a that is dense in columns.
 *
 * A product may be computed as c^T = b^T a^T: then the columns above are c's rows. NAME(cost) says
 * which is cheaper; neither choice nor blocking changes a bit.
 */
#include "engine/matmul.h"

#include <stdbool.h>
#include <string.h>

#include "engine/attr.h"
#include "engine/update.h"

/* A block is DEPTH deep, but DEPTH_APART where c's columns lie apart, so that each block costs more
 * to store; an update sees whole chains, and so up to MATMUL_DEPTH. It has BLOCK_ROWS of a. If
 * there are more than IN_PLACE_ROWS a panel whose rows are contiguous is packed all the same. With
 * 16 registers a tile has a quarter of the multiplications that it has with 32, so what it reads
 * has to be nearer: an a that is dense in columns is copied, too, of SCATTERED_DEPTH k's or more,
 * if so many columns come to it; and a b of CROWDED_LEAST bytes, whose rows are whole pages apart,
 * is packed for fewer rows, DEPTH_CROWDED deep where c's rows are dense and not updated: it comes
 * from memory, and fetched where it lies its rows probably push each other out of the caches. */
#define DEPTH_APART       1024
#define DEPTH_CROWDED     160
#define SCATTERED_COLUMNS 64
#if SIMD_REGISTERS == 32
#define DEPTH           MATMUL_DEPTH
#define BLOCK_ROWS      144
#define IN_PLACE_ROWS   288
#define SCATTERED_DEPTH INT64_MAX
#define CROWDED_LEAST   INT64_MAX
#else
#define DEPTH           320
#define BLOCK_ROWS      96
#define IN_PLACE_ROWS   47
#define SCATTERED_DEPTH 128
#define CROWDED_LEAST   MATMUL_MEMORY_BYTES
#endif

/* The workspace: panels of a block of b, each of which begins PANEL_GAP bytes behind the end of the
 * one before, as else their rows would share a few places of the caches; and the copy of a. */
#define BLOCK_BYTES ((size_t)2 << 20)
#define PANEL_GAP   64
#define PANELS_MAX  512
#define A_AT        (BLOCK_BYTES + (size_t)PANELS_MAX * PANEL_GAP)
#define A_BYTES     ((size_t)320 << 10)
_Static_assert(A_AT + A_BYTES == MATMUL_WORKSPACE_BYTES, "no more is there");

/* Lines of a (its rows, or the columns of one that is dense in columns) so many bytes apart are
 * copied for so many columns, beside which the copy is cheap; more than CROWD_LEAST columns also
 * where they are half as far apart. */
#define PAGE_BYTES     4096
#define CROWD_LEAST    256
#define COPIED_COLUMNS 256

/* With a few rows of a, a b of more than MATMUL_MEMORY_BYTES comes as fast as memory gives it if it
 * is read in the order in which it lies: so many of its rows side by side, from end to end, while
 * the next ones are fetched. One that the last-level cache holds comes sooner panel by panel. */
#define DEPTH_STREAMED 8

/* A c of more bytes than a second-level cache holds is fetched while its tiles are multiplied:
 * writing what is not there takes longer. */
#define FAR_BYTES (1 << 20)

/* A tile has the panel at its right fetched, which comes next, row by row as it reads its own: the
 * processor does not see that by itself where the rows lie apart, and memory is faster where it is
 * read on. With fewer rows of a than so many a tile is over before that. */
#define FETCHING_ROWS 4
#define LINE_VECTORS  (64 / SIMD_BYTES) /* of a line of the caches */

/* A tile fills the registers: TILE_ROWS x 2 vectors, a few left for b and one for a; or NARROW_ROWS
 * x 1, where one vector has all columns that are left. With up to WIDE_ROWS rows WIDE vectors are
 * taken instead, since it takes some eight independent chains to keep the multipliers busy: a chain
 * has a link every CHAIN_LINK cycles.
 * With up to THIN_ROWS rows a b that is dense in columns is not packed but transposed on the way,
 * since one tile has all the rows. A tile is one vector wide; with up to THIN_PAIR rows, which are
 * few chains, two, unless b's columns stand apart such that a first-level cache of CACHE_WAYS pages
 * cannot keep a line of each. Of a single row, if k has LAGGING_SQUARES, the second vector may then
 * come LAG_SQUARES behind the first, to have other lines. */
#define CACHE_WAYS      8
#define LAG_SQUARES     3
#define LAGGING_SQUARES 16
_Static_assert(LAG_SQUARES < LAGGING_SQUARES, "a square is left for both vectors");
#define WIDE 8
#ifdef __FMA__
#define CHAIN_LINK 4
#else
#define CHAIN_LINK 1 /* calls into libm */
#endif
#if SIMD_REGISTERS == 32
#define TILE_ROWS         12
#define NARROW_ROWS       TILE_ROWS
#define WIDE_ROWS         3
#define TILES(X, vectors) TILES_12(X, vectors)
#define WIDE_TILES(X)     X(1, 8) X(2, 8) X(3, 8)
#define THIN_ROWS         TILE_ROWS
#define THIN_PAIR         1
#define THIN_TILES(X)     TILES(X, 1) X(1, 2)
#else
#define TILE_ROWS         6
#define NARROW_ROWS       (2 * TILE_ROWS)
#define WIDE_ROWS         1
#define TILES(X, vectors) TILES_6(X, vectors)
#define WIDE_TILES(X)     X(1, 8)
#define THIN_ROWS         4
#define THIN_PAIR         2
#define THIN_TILES(X)     X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(1, 2) X(2, 2)
#endif
#define TILES_6(X, vectors)                                                                        \
    X(1, vectors) X(2, vectors) X(3, vectors) X(4, vectors) X(5, vectors) X(6, vectors)
#define TILES_12(X, vectors)                                                                       \
    TILES_6(X, vectors)                                                                            \
    X(7, vectors) X(8, vectors) X(9, vectors) X(10, vectors) X(11, vectors) X(12, vectors)
#define ALL_TILES(X) TILES_12(X, 1) TILES(X, 2) WIDE_TILES(X)
_Static_assert(NARROW_ROWS == 12 && NARROW_ROWS <= 2 * TILE_ROWS, "each has its tile, and room");
_Static_assert(WIDE_ROWS <= IN_PLACE_ROWS, "pack_rows makes no panels of WIDE vectors");

/* With few k's each row of b has a register, or two for as many vectors, and rows of c pass by: so
 * many vectors of sums at a time. Of a c that has to be fetched these are FAR_ROWS, for all columns
 * of a block, before the next ones come, while what is AHEAD_BYTES to the right is fetched. */
#define SHALLOW_SUMS 4
#define FAR_ROWS     32
#define AHEAD_BYTES  128
#if SIMD_REGISTERS == 32
#define SHALLOW_DEPTH          16
#define SHALLOW_VECTORS(depth) ((depth) > 12 ? 1 : 2)
#define SHALLOWS(X)            SHALLOWS_8(X) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16)
#else
#define SHALLOW_DEPTH          8
#define SHALLOW_VECTORS(depth) ((depth) > 5 ? 1 : 2)
#define SHALLOWS(X)            SHALLOWS_8(X)
#endif
#define SHALLOWS_8(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)

/* How a matrix lies: dense in rows, dense in columns, or anyhow. */
enum lies { IN_ROWS, IN_COLUMNS, ANYHOW };

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The size of the parts if n is cut into as few as possible, all about equal, none above most. */
static int64_t even_part(int64_t n, int64_t most)
{
    if (n <= most)
        return n > 0 ? n : 1;
    int64_t parts = (n + most - 1) / most;
    return (n + parts - 1) / parts;
}

/* The same parts one by one: the first ones have that size, the others one less. */
struct split {
    int64_t size, whole; /* of the first parts, and how many of them are left */
};

static struct split split_evenly(int64_t n, int64_t most)
{
    int64_t size = even_part(n, most), parts = (n + most - 1) / most;
    return (struct split){size, n - parts * (size - 1)};
}

static int64_t next_part(struct split *s)
{
    return s->whole-- > 0 ? s->size : s->size - 1;
}

/* Do lines that stand so far apart share too few places of a cache? */
static bool is_crowded(int64_t lines, int64_t bytes_apart)
{
    return bytes_apart % PAGE_BYTES == 0 ||
           (lines > CROWD_LEAST && bytes_apart % (PAGE_BYTES / 2) == 0);
}

/* Does a first-level cache keep as many lines that stand so far apart? */
static bool keeps_lines(int64_t lines, int64_t bytes_apart)
{
    return lines <= CACHE_WAYS || bytes_apart % (2 * CACHE_WAYS * PAGE_BYTES / lines) != 0;
}

static struct matrix transposed(struct matrix x)
{
    return (struct matrix){x.data, x.col_stride, x.row_stride};
}

#define SCALAR_FMA_f32 __builtin_fmaf
#define SCALAR_FMA_f64 __builtin_fma

#define REAL float
#include "engine/matmul.inc"
#undef REAL
#define REAL double
#include "engine/matmul.inc"
#undef REAL

void ISA_FN(matmul)(const struct matmul_args *args)
{
    if (args->dtype == DTYPE_FLOAT32)
        matmul_f32(args);
    else
        matmul_f64(args);
}
