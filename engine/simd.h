/* engine/simd.h - vectors as wide as the instruction set being compiled for, for the few loops that
 * compilers do not vectorize well enough by themselves.
 *
 * A vector is a GNU vector type, so + and * are written as such; what has no operator is here, with
 * the element type as suffix (NAME of engine/real.h). Lanes never meet except in a transpose, so
 * the width cannot change a result.
 */
#ifndef ENGINE_SIMD_H
#define ENGINE_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) || defined(__FMA__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define SIMD_BYTES     64
#define SIMD_REGISTERS 32
#elif defined(__FMA__)
#define SIMD_BYTES     32
#define SIMD_REGISTERS 16
#elif defined(__aarch64__)
#define SIMD_BYTES     16
#define SIMD_REGISTERS 32
#else
#define SIMD_BYTES     16
#define SIMD_REGISTERS 16
#endif
#define SIMD_LANES_f32 (SIMD_BYTES / 4)
#define SIMD_LANES_f64 (SIMD_BYTES / 8)
#define SIMD_LANES_u32 (SIMD_BYTES / 4)
#define SIMD_LANES_u64 (SIMD_BYTES / 8)

/* Functions with constant arguments, to be specialized for them; loops to be unrolled whole. Not
 * under a sanitizer, whose checks would make minutes of compilation of it. */
#if defined(__has_feature)
#define SIMD_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SIMD_SANITIZED 1
#else
#define SIMD_SANITIZED 0
#endif
#if SIMD_SANITIZED
#define SIMD_INLINE static inline
#define SIMD_UNROLL
#elif defined(__clang__)
#define SIMD_INLINE static inline __attribute__((always_inline))
#define SIMD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SIMD_INLINE static inline __attribute__((always_inline))
#define SIMD_UNROLL _Pragma("GCC unroll 16")
#endif

typedef float simd_f32 __attribute__((vector_size(SIMD_BYTES)));
typedef double simd_f64 __attribute__((vector_size(SIMD_BYTES)));
typedef uint32_t simd_u32 __attribute__((vector_size(SIMD_BYTES)));
typedef uint64_t simd_u64 __attribute__((vector_size(SIMD_BYTES)));
typedef int32_t simd_bits_f32 __attribute__((vector_size(SIMD_BYTES)));
typedef int64_t simd_bits_f64 __attribute__((vector_size(SIMD_BYTES)));

/* x from here on is what no compiler knows: so it does not compute ahead of a loop, and then spill,
 * what addresses would give for nothing. */
#if defined(__GNUC__)
#define SIMD_OPAQUE(x) __asm__("" : "+r"(x))
#else
#define SIMD_OPAQUE(x) ((void)0)
#endif

/* What the address p leads to is read after the vector x. */
#if SIMD_BYTES == 64
#define SIMD_AFTER(p, x) __asm__("" : "+r"(p) : "v"(x))
#else
#define SIMD_AFTER(p, x) ((void)0)
#endif

/* No alignment is asked for. */
SIMD_INLINE simd_f32 simd_load_f32(const float *p)
{
    simd_f32 x;
    memcpy(&x, p, sizeof x);
    return x;
}

SIMD_INLINE simd_f64 simd_load_f64(const double *p)
{
    simd_f64 x;
    memcpy(&x, p, sizeof x);
    return x;
}

SIMD_INLINE void simd_store_f32(float *p, simd_f32 x)
{
    memcpy(p, &x, sizeof x);
}

SIMD_INLINE void simd_store_f64(double *p, simd_f64 x)
{
    memcpy(p, &x, sizeof x);
}

#if SIMD_BYTES == 32
/* A mask of the first n lanes of so many bytes. */
SIMD_INLINE __m256i simd_lanes(size_t n, size_t bytes)
{
    static const int32_t mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const void *)(mask + 8 - n * bytes / sizeof *mask));
}
#endif

/* The first n lanes, all of them at most; the others are 0, and what would be theirs in memory is
 * neither read nor written. */
SIMD_INLINE simd_f32 simd_load_part_f32(const float *p, size_t n)
{
    if (n == SIMD_LANES_f32)
        return simd_load_f32(p);
#if defined(__AVX512F__)
    return (simd_f32)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif SIMD_BYTES == 32
    return (simd_f32)_mm256_maskload_ps(p, simd_lanes(n, sizeof *p));
#else
    simd_f32 x = {0};
    for (size_t i = 0; i < n; i++)
        x[i] = p[i];
    return x;
#endif
}

SIMD_INLINE simd_f64 simd_load_part_f64(const double *p, size_t n)
{
    if (n == SIMD_LANES_f64)
        return simd_load_f64(p);
#if defined(__AVX512F__)
    return (simd_f64)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
#elif SIMD_BYTES == 32
    return (simd_f64)_mm256_maskload_pd(p, simd_lanes(n, sizeof *p));
#else
    simd_f64 x = {0};
    for (size_t i = 0; i < n; i++)
        x[i] = p[i];
    return x;
#endif
}

SIMD_INLINE void simd_store_part_f32(float *p, simd_f32 x, size_t n)
{
    if (n == SIMD_LANES_f32) {
        simd_store_f32(p, x);
        return;
    }
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x);
#elif SIMD_BYTES == 32 /* by halves: AMD's stores by a mask take longer than all of these */
    __m128 rest = _mm256_castps256_ps128((__m256)x);
    if (n & 4) {
        _mm_storeu_ps(p, rest);
        rest = _mm256_extractf128_ps((__m256)x, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((void *)p, rest);
        rest = _mm_movehl_ps(rest, rest);
        p += 2;
    }
    if (n & 1)
        _mm_store_ss(p, rest);
#else
    for (size_t i = 0; i < n; i++)
        p[i] = x[i];
#endif
}

SIMD_INLINE void simd_store_part_f64(double *p, simd_f64 x, size_t n)
{
    if (n == SIMD_LANES_f64) {
        simd_store_f64(p, x);
        return;
    }
#if defined(__AVX512F__)
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)x);
#elif SIMD_BYTES == 32
    __m128d rest = _mm256_castpd256_pd128((__m256d)x);
    if (n & 2) {
        _mm_storeu_pd(p, rest);
        rest = _mm256_extractf128_pd((__m256d)x, 1);
        p += 2;
    }
    if (n & 1)
        _mm_store_sd(p, rest);
#else
    for (size_t i = 0; i < n; i++)
        p[i] = x[i];
#endif
}

/* The larger of each lane, most being the bits of magnitudes. */
SIMD_INLINE simd_bits_f32 simd_farther_f32(simd_bits_f32 most, simd_f32 x)
{
    simd_bits_f32 bits = (simd_bits_f32)x & INT32_MAX;
#if defined(__AVX512F__)
    return (simd_bits_f32)_mm512_max_epi32((__m512i)most, (__m512i)bits);
#elif defined(__AVX2__)
    return (simd_bits_f32)_mm256_max_epi32((__m256i)most, (__m256i)bits);
#else
    simd_bits_f32 above = most > bits;
    return (most & above) | (bits & ~above);
#endif
}

SIMD_INLINE simd_bits_f64 simd_farther_f64(simd_bits_f64 most, simd_f64 x)
{
    simd_bits_f64 bits = (simd_bits_f64)x & INT64_MAX;
#if defined(__AVX512F__)
    return (simd_bits_f64)_mm512_max_epi64((__m512i)most, (__m512i)bits);
#else
    simd_bits_f64 above = most > bits;
    return (most & above) | (bits & ~above);
#endif
}

/* The magnitude of the largest lane. */
SIMD_INLINE double simd_farthest_f32(simd_bits_f32 most)
{
    int32_t largest = 0;
    float x;
    for (int i = 0; i < SIMD_LANES_f32; i++)
        largest = most[i] > largest ? most[i] : largest;
    memcpy(&x, &largest, sizeof x);
    return (double)x;
}

SIMD_INLINE double simd_farthest_f64(simd_bits_f64 most)
{
    int64_t largest = 0;
    double x;
    for (int i = 0; i < SIMD_LANES_f64; i++)
        largest = most[i] > largest ? most[i] : largest;
    memcpy(&x, &largest, sizeof x);
    return x;
}

/* Has what lies so many bytes behind p brought to the second-level cache; there need not be
 * anything. */
SIMD_INLINE void simd_fetch(const void *p, int64_t bytes)
{
    __builtin_prefetch((const void *)((uintptr_t)p + (uintptr_t)bytes), 0, 2);
}

/* a * b + c, rounded once. Without the instruction libm does it, element by element. */
SIMD_INLINE simd_f32 simd_fma_f32(simd_f32 a, simd_f32 b, simd_f32 c)
{
#if defined(__AVX512F__)
    return (simd_f32)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    return (simd_f32)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (simd_f32)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    for (int i = 0; i < SIMD_LANES_f32; i++)
        c[i] = fmaf(a[i], b[i], c[i]);
    return c;
#endif
}

SIMD_INLINE simd_f64 simd_fma_f64(simd_f64 a, simd_f64 b, simd_f64 c)
{
#if defined(__AVX512F__)
    return (simd_f64)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
    return (simd_f64)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__)
    return (simd_f64)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
    for (int i = 0; i < SIMD_LANES_f64; i++)
        c[i] = fma(a[i], b[i], c[i]);
    return c;
#endif
}

/* sum + x * x of as many numbers as a vector has float64s, the square and the sum rounded: but no
 * square of a float32 needs to be. */
SIMD_INLINE simd_f64 simd_add_squares_f32(simd_f64 sum, const float *p)
{
#if defined(__AVX512F__)
    simd_f64 x = (simd_f64)_mm512_cvtps_pd(_mm256_loadu_ps(p));
    return simd_fma_f64(x, x, sum);
#elif defined(__FMA__)
    simd_f64 x = (simd_f64)_mm256_cvtps_pd(_mm_loadu_ps(p));
    return simd_fma_f64(x, x, sum);
#else
    simd_f64 x;
    for (int i = 0; i < SIMD_LANES_f64; i++)
        x[i] = (double)p[i];
    return sum + x * x;
#endif
}

SIMD_INLINE simd_f64 simd_add_squares_f64(simd_f64 sum, const double *p)
{
    simd_f64 x = simd_load_f64(p);
    return sum + x * x;
}

/* The product of the lanes' lower halves; the upper ones may be anything. */
SIMD_INLINE simd_u64 simd_mul_halves_u64(simd_u64 a, simd_u64 b)
{
#if defined(__AVX512F__)
    return (simd_u64)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__) && SIMD_BYTES == 32
    return (simd_u64)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__) && SIMD_BYTES == 16
    return (simd_u64)_mm_mul_epu32((__m128i)a, (__m128i)b);
#elif defined(__aarch64__)
    return (simd_u64)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
#else
    for (int i = 0; i < SIMD_LANES_u64; i++)
        a[i] = (uint64_t)(uint32_t)a[i] * (uint32_t)b[i];
    return a;
#endif
}

/* ---- squares of lanes x lanes ---------------------------------------------------------------
 *
 * Their columns are had a part at a time: SIMD_PART of them, of SIMD_PARTS parts. A vector is first
 * put together of pieces of rows such that most of what is left to do stays within 16 bytes, where
 * shuffles are cheap. */
#if SIMD_BYTES == 64
#define SIMD_LOW_f32(a, b)  (simd_f32) _mm512_unpacklo_ps((__m512)(a), (__m512)(b))
#define SIMD_HIGH_f32(a, b) (simd_f32) _mm512_unpackhi_ps((__m512)(a), (__m512)(b))
#define SIMD_LOW_f64(a, b)  (simd_f64) _mm512_unpacklo_pd((__m512d)(a), (__m512d)(b))
#define SIMD_HIGH_f64(a, b) (simd_f64) _mm512_unpackhi_pd((__m512d)(a), (__m512d)(b))
#elif SIMD_BYTES == 32
#define SIMD_LOW_f32(a, b)  (simd_f32) _mm256_unpacklo_ps((__m256)(a), (__m256)(b))
#define SIMD_HIGH_f32(a, b) (simd_f32) _mm256_unpackhi_ps((__m256)(a), (__m256)(b))
#define SIMD_LOW_f64(a, b)  (simd_f64) _mm256_unpacklo_pd((__m256d)(a), (__m256d)(b))
#define SIMD_HIGH_f64(a, b) (simd_f64) _mm256_unpackhi_pd((__m256d)(a), (__m256d)(b))
#else
#define SIMD_LOW_f32(a, b)  __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define SIMD_HIGH_f32(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define SIMD_LOW_f64(a, b)  __builtin_shufflevector(a, b, 0, 2)
#define SIMD_HIGH_f64(a, b) __builtin_shufflevector(a, b, 1, 3)
#endif

#if SIMD_BYTES == 64
#define SIMD_PARTS    2
#define SIMD_PART_f32 8
#define SIMD_PART_f64 4
#else
#define SIMD_PARTS    (SIMD_BYTES / 16)
#define SIMD_PART_f32 4
#define SIMD_PART_f64 2
#endif
#define SIMD_TURNS 3

/* Rows that stand equally far apart; those beyond the last one are read as the last one. The
 * processor adds to an address, as it reads, another register times 1, 2, 4 or 8. */
struct simd_rows {
    int64_t one, three, five, seven; /* bytes to the row that is so many further on */
    int64_t last;
};

SIMD_INLINE struct simd_rows simd_rows(int64_t bytes, int64_t last)
{
    struct simd_rows rows = {bytes, 3 * bytes, 5 * bytes, 7 * bytes, last};
    SIMD_OPAQUE(rows.one);
    SIMD_OPAQUE(rows.three);
    SIMD_OPAQUE(rows.five);
    SIMD_OPAQUE(rows.seven);
    return rows;
}

SIMD_INLINE const void *simd_row(const void *first, struct simd_rows rows, int i)
{
    int64_t bytes[] = {0,         rows.one,       2 * rows.one, rows.three, 4 * rows.one,
                       rows.five, 2 * rows.three, rows.seven};
    int64_t to = i <= rows.last ? i / 8 * 8 * rows.one + bytes[i % 8] : rows.last * rows.one;
    return (const char *)first + to;
}

/* Squares of 4 x 4, each within 16 bytes. */
SIMD_INLINE void simd_turn_within_f32(simd_f32 x[4])
{
    simd_f32 low02 = SIMD_LOW_f32(x[0], x[2]), high02 = SIMD_HIGH_f32(x[0], x[2]);
    simd_f32 low13 = SIMD_LOW_f32(x[1], x[3]), high13 = SIMD_HIGH_f32(x[1], x[3]);
    x[0] = SIMD_LOW_f32(low02, low13);
    x[1] = SIMD_HIGH_f32(low02, low13);
    x[2] = SIMD_LOW_f32(high02, high13);
    x[3] = SIMD_HIGH_f32(high02, high13);
}

SIMD_INLINE void simd_turn_within_f64(simd_f64 x[2])
{
    simd_f64 low = SIMD_LOW_f64(x[0], x[1]), high = SIMD_HIGH_f64(x[0], x[1]);
    x[0] = low;
    x[1] = high;
}

/* simd_piece: the i-th vector of pieces of the part that begins at p.
 * simd_turn: of a part's pieces its columns, by the steps 0, 1 and 2. */
#if SIMD_BYTES == 64
/* 32 bytes of a row and of another: by a masked broadcast from memory, since an insertion would
 * take the units that the shuffles need. */
SIMD_INLINE __m512d simd_pair(const void *low, const void *high)
{
    return _mm512_mask_broadcast_f64x4(_mm512_castpd256_pd512(_mm256_loadu_pd(low)), 0xf0,
                                       _mm256_loadu_pd(high));
}

SIMD_INLINE simd_f32 simd_piece_f32(const float *p, struct simd_rows rows, int i)
{
    int row = i % 4 + i / 4 * 8;
    return (simd_f32)simd_pair(simd_row(p, rows, row), simd_row(p, rows, row + 4));
}

SIMD_INLINE simd_f64 simd_piece_f64(const double *p, struct simd_rows rows, int i)
{
    int row = i % 2 + i / 2 * 4;
    return (simd_f64)simd_pair(simd_row(p, rows, row), simd_row(p, rows, row + 2));
}

SIMD_INLINE void simd_turn_f32(simd_f32 x[SIMD_PART_f32], int step)
{
    if (step < 2)
        simd_turn_within_f32(x + 4 * step);
    SIMD_UNROLL
    for (int k = 0; k < 4 && step == 2; k++) {
        __m512 a = (__m512)x[k], b = (__m512)x[k + 4];
        x[k] = (simd_f32)_mm512_shuffle_f32x4(a, b, 0x88);
        x[k + 4] = (simd_f32)_mm512_shuffle_f32x4(a, b, 0xdd);
    }
}

SIMD_INLINE void simd_turn_f64(simd_f64 x[SIMD_PART_f64], int step)
{
    if (step < 2)
        simd_turn_within_f64(x + 2 * step);
    SIMD_UNROLL
    for (int k = 0; k < 2 && step == 2; k++) {
        __m512d a = (__m512d)x[k], b = (__m512d)x[k + 2];
        x[k] = (simd_f64)_mm512_shuffle_f64x2(a, b, 0x88);
        x[k + 2] = (simd_f64)_mm512_shuffle_f64x2(a, b, 0xdd);
    }
}
#else
typedef float simd_chunk_f32 __attribute__((vector_size(16)));
typedef double simd_chunk_f64 __attribute__((vector_size(16)));
#if SIMD_BYTES == 32
#define SIMD_JOIN(type, x)                                                                         \
    (type) _mm256_insertf128_ps(_mm256_castps128_ps256((__m128)(x)[0]), (__m128)(x)[1], 1)
#else
#define SIMD_JOIN(type, x) (x)[0]
#endif

SIMD_INLINE simd_f32 simd_piece_f32(const float *p, struct simd_rows rows, int i)
{
    simd_chunk_f32 x[SIMD_PARTS];
    SIMD_UNROLL
    for (int part = 0; part < SIMD_PARTS; part++)
        memcpy(&x[part], simd_row(p, rows, i + part * SIMD_PART_f32), 16);
    return SIMD_JOIN(simd_f32, x);
}

SIMD_INLINE simd_f64 simd_piece_f64(const double *p, struct simd_rows rows, int i)
{
    simd_chunk_f64 x[SIMD_PARTS];
    SIMD_UNROLL
    for (int part = 0; part < SIMD_PARTS; part++)
        memcpy(&x[part], simd_row(p, rows, i + part * SIMD_PART_f64), 16);
    return SIMD_JOIN(simd_f64, x);
}

SIMD_INLINE void simd_turn_f32(simd_f32 x[SIMD_PART_f32], int step)
{
    if (step == 0)
        simd_turn_within_f32(x);
}

SIMD_INLINE void simd_turn_f64(simd_f64 x[SIMD_PART_f64], int step)
{
    if (step == 0)
        simd_turn_within_f64(x);
}
#endif

/* simd_pieces: those of all parts. A row is read whole before the next one: where they stand a
 * power of two apart, a set of the first-level cache cannot keep them all. simd_columns: the whole
 * square's, whose rows stand `stride` apart. */
SIMD_INLINE void simd_pieces_f32(simd_f32 x[SIMD_LANES_f32], const float *p, struct simd_rows rows)
{
    SIMD_UNROLL
    for (int i = 0; i < SIMD_PART_f32; i++) {
        SIMD_UNROLL
        for (int at = 0; at < SIMD_LANES_f32; at += SIMD_PART_f32)
            x[at + i] = simd_piece_f32(p + at, rows, i);
        SIMD_AFTER(p, x[SIMD_LANES_f32 - SIMD_PART_f32 + i]);
    }
}

SIMD_INLINE void simd_pieces_f64(simd_f64 x[SIMD_LANES_f64], const double *p, struct simd_rows rows)
{
    SIMD_UNROLL
    for (int i = 0; i < SIMD_PART_f64; i++) {
        SIMD_UNROLL
        for (int at = 0; at < SIMD_LANES_f64; at += SIMD_PART_f64)
            x[at + i] = simd_piece_f64(p + at, rows, i);
        SIMD_AFTER(p, x[SIMD_LANES_f64 - SIMD_PART_f64 + i]);
    }
}

SIMD_INLINE void simd_columns_f32(simd_f32 x[SIMD_LANES_f32], const float *p, int64_t stride,
                                  int64_t last)
{
    simd_pieces_f32(x, p, simd_rows(stride * (int64_t)sizeof *p, last));
    SIMD_UNROLL
    for (int at = 0; at < SIMD_LANES_f32; at += SIMD_PART_f32)
        SIMD_UNROLL
    for (int step = 0; step < SIMD_TURNS; step++)
        simd_turn_f32(x + at, step);
}

SIMD_INLINE void simd_columns_f64(simd_f64 x[SIMD_LANES_f64], const double *p, int64_t stride,
                                  int64_t last)
{
    simd_pieces_f64(x, p, simd_rows(stride * (int64_t)sizeof *p, last));
    SIMD_UNROLL
    for (int at = 0; at < SIMD_LANES_f64; at += SIMD_PART_f64)
        SIMD_UNROLL
    for (int step = 0; step < SIMD_TURNS; step++)
        simd_turn_f64(x + at, step);
}

#endif
