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

/* The first n lanes, all of them at most; the others are 0, and what would be theirs in memory is
 * neither read nor written. */
SIMD_INLINE simd_f32 simd_load_part_f32(const float *p, size_t n)
{
    if (n == SIMD_LANES_f32)
        return simd_load_f32(p);
#if defined(__AVX512F__)
    return (simd_f32)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
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

/* x gets the columns of a square of lanes x lanes, whose rows stand `stride` apart. A row beyond
 * the last one is read as the last one.
 * A vector is put together of pieces of rows such that most of what is left to do stays within 16
 * bytes, where shuffles are cheap. A row is read whole before the next one: where they stand a
 * power of two apart, a set of the first-level cache cannot keep them all. */
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

/* Squares of 4 x 4, each within 16 bytes. */
SIMD_INLINE void simd_turn_f32(simd_f32 x[4])
{
    simd_f32 low02 = SIMD_LOW_f32(x[0], x[2]), high02 = SIMD_HIGH_f32(x[0], x[2]);
    simd_f32 low13 = SIMD_LOW_f32(x[1], x[3]), high13 = SIMD_HIGH_f32(x[1], x[3]);
    x[0] = SIMD_LOW_f32(low02, low13);
    x[1] = SIMD_HIGH_f32(low02, low13);
    x[2] = SIMD_LOW_f32(high02, high13);
    x[3] = SIMD_HIGH_f32(high02, high13);
}

SIMD_INLINE void simd_turn_f64(simd_f64 x[2])
{
    simd_f64 low = SIMD_LOW_f64(x[0], x[1]), high = SIMD_HIGH_f64(x[0], x[1]);
    x[0] = low;
    x[1] = high;
}

#if SIMD_BYTES == 64
/* 32 bytes of a row and of another: by a masked broadcast from memory, since an insertion would
 * take the units that the shuffles need. */
SIMD_INLINE __m512d simd_pair(const void *low, const void *high)
{
    return _mm512_mask_broadcast_f64x4(_mm512_castpd256_pd512(_mm256_loadu_pd(low)), 0xf0,
                                       _mm256_loadu_pd(high));
}

SIMD_INLINE void simd_columns_f32(simd_f32 x[16], const float *p, int64_t stride, int64_t last)
{
    SIMD_UNROLL
    for (int i = 0; i < 8; i++) {
        int64_t row = i % 4 + i / 4 * 8, other = row + 4;
        const float *low = p + (row < last ? row : last) * stride;
        const float *high = p + (other < last ? other : last) * stride;
        x[i] = (simd_f32)simd_pair(low, high);
        x[8 + i] = (simd_f32)simd_pair(low + 8, high + 8);
    }
    SIMD_UNROLL
    for (int i = 0; i < 16; i += 4)
        simd_turn_f32(x + i);
    SIMD_UNROLL
    for (int i = 0; i < 16; i += 8)
        SIMD_UNROLL
    for (int k = i; k < i + 4; k++) {
        __m512 a = (__m512)x[k], b = (__m512)x[k + 4];
        x[k] = (simd_f32)_mm512_shuffle_f32x4(a, b, 0x88);
        x[k + 4] = (simd_f32)_mm512_shuffle_f32x4(a, b, 0xdd);
    }
}

SIMD_INLINE void simd_columns_f64(simd_f64 x[8], const double *p, int64_t stride, int64_t last)
{
    SIMD_UNROLL
    for (int i = 0; i < 4; i++) {
        int64_t row = i % 2 + i / 2 * 4, other = row + 2;
        const double *low = p + (row < last ? row : last) * stride;
        const double *high = p + (other < last ? other : last) * stride;
        x[i] = (simd_f64)simd_pair(low, high);
        x[4 + i] = (simd_f64)simd_pair(low + 4, high + 4);
    }
    SIMD_UNROLL
    for (int i = 0; i < 8; i += 2)
        simd_turn_f64(x + i);
    SIMD_UNROLL
    for (int i = 0; i < 8; i += 4)
        SIMD_UNROLL
    for (int k = i; k < i + 2; k++) {
        __m512d a = (__m512d)x[k], b = (__m512d)x[k + 2];
        x[k] = (simd_f64)_mm512_shuffle_f64x2(a, b, 0x88);
        x[k + 2] = (simd_f64)_mm512_shuffle_f64x2(a, b, 0xdd);
    }
}
#else
typedef float simd_chunk_f32 __attribute__((vector_size(16)));
typedef double simd_chunk_f64 __attribute__((vector_size(16)));
#define SIMD_CHUNKS    (SIMD_BYTES / 16)
#define SIMD_CHUNK_f32 4
#define SIMD_CHUNK_f64 2
#if SIMD_BYTES == 32
#define SIMD_JOIN(type, x)                                                                         \
    (type) _mm256_insertf128_ps(_mm256_castps128_ps256((__m128)(x)[0]), (__m128)(x)[1], 1)
#else
#define SIMD_JOIN(type, x) (x)[0]
#endif

SIMD_INLINE void simd_columns_f32(simd_f32 x[SIMD_LANES_f32], const float *p, int64_t stride,
                                  int64_t last)
{
    SIMD_UNROLL
    for (int k = 0; k < SIMD_LANES_f32; k += SIMD_CHUNK_f32) {
        SIMD_UNROLL
        for (int r = 0; r < SIMD_CHUNK_f32; r++) {
            simd_chunk_f32 part[SIMD_CHUNKS];
            SIMD_UNROLL
            for (int c = 0; c < SIMD_CHUNKS; c++) {
                int64_t row = r + c * SIMD_CHUNK_f32;
                memcpy(&part[c], p + (row < last ? row : last) * stride + k, 16);
            }
            x[k + r] = SIMD_JOIN(simd_f32, part);
        }
        simd_turn_f32(x + k);
    }
}

SIMD_INLINE void simd_columns_f64(simd_f64 x[SIMD_LANES_f64], const double *p, int64_t stride,
                                  int64_t last)
{
    SIMD_UNROLL
    for (int k = 0; k < SIMD_LANES_f64; k += SIMD_CHUNK_f64) {
        SIMD_UNROLL
        for (int r = 0; r < SIMD_CHUNK_f64; r++) {
            simd_chunk_f64 part[SIMD_CHUNKS];
            SIMD_UNROLL
            for (int c = 0; c < SIMD_CHUNKS; c++) {
                int64_t row = r + c * SIMD_CHUNK_f64;
                memcpy(&part[c], p + (row < last ? row : last) * stride + k, 16);
            }
            x[k + r] = SIMD_JOIN(simd_f64, part);
        }
        simd_turn_f64(x + k);
    }
}
#endif

#endif
