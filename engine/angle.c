#include "engine/angle.h"

#include "engine/vmath.h"

/* 2/pi as a binary fraction, with 64 zeros before it, which stand for the bits left of the point
 * that are not there: so an angle's exponent says where to start, however small it is. */
#define ZEROS 64
static const uint32_t two_over_pi[] = {
    0x00000000, 0x00000000, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041,
    0xfe5163ab, 0xdebbc561, 0xb7246e3a, 0x424dd2e0, 0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e,
    0xe88235f5, 0x2ebb4484, 0xe99c7026, 0xb45f7e41, 0x3991d639, 0x835339f4, 0x9c845f8b, 0xbdf9283b,
    0x1ff897ff, 0xde05980f, 0xef2f118b, 0x5a0a6d1f, 0x6d367ecf, 0x27cb09b7, 0x4f463f66, 0x9e5fea2d,
    0x7527bac7, 0xebe5f17b, 0x3d0739f7, 0x8a5292ea, 0x6bfb5fb1, 0x1f8d5d08, 0x56033046, 0xfc7b6bab,
};

/* A fraction of 4 quarter turns: its first two bits count them. Lowest word first. */
#define WORDS 6
#define BITS  (32 * WORDS)

/* WORDS words of the table, from the bit `at` on. */
static void cut(unsigned at, uint32_t out[WORDS])
{
    const uint32_t *word = two_over_pi + at / 32;
    for (int i = 0; i < WORDS; i++) {
        uint64_t two = (uint64_t)word[i] << 32 | word[i + 1];
        out[WORDS - 1 - i] = (uint32_t)(two >> (32 - at % 32));
    }
}

/* product = a m without what leaves on the left, which is whole turns. */
static void multiply(const uint32_t a[WORDS], uint64_t m, uint32_t product[WORDS])
{
    const uint32_t factor[2] = {(uint32_t)m, (uint32_t)(m >> 32)};
    for (int i = 0; i < WORDS; i++)
        product[i] = 0;
    for (int j = 0; j < 2; j++) {
        uint64_t carry = 0;
        for (int i = 0; i + j < WORDS; i++) {
            carry += (uint64_t)a[i] * factor[j] + product[i + j];
            product[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
    }
}

static void negate(uint32_t a[WORDS])
{
    uint64_t carry = 1;
    for (int i = 0; i < WORDS; i++) {
        carry += (uint32_t)~a[i];
        a[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

/* M. H. Payne and R. N. Hanek, "Radian reduction for trigonometric functions", 1983: of the product
 * with 2/pi only the bits are computed that decide the quadrant and the fraction within it. With
 * |x| = m 2^e, the bits of 2/pi worth 2^(2 - e) and more make multiples of 4. */
double angle_far(double x, uint64_t *turns)
{
    uint64_t u = bits_of_f64(x) & 0x7fffffffffffffff;
    int e = (int)(u >> 52) - 1075;
    uint64_t m = (u & 0x000fffffffffffff) | 0x0010000000000000;
    uint32_t bits[WORDS], quarters[WORDS];
    cut((unsigned)(ZEROS - 2 + e), bits);
    multiply(bits, m, quarters);
    uint64_t q = quarters[WORDS - 1] >> 30;
    quarters[WORDS - 1] &= 0x3fffffff;
    int above_half = quarters[WORDS - 1] >> 29 & 1;
    if (above_half) { /* a quarter more, less the rest of it */
        negate(quarters);
        quarters[WORDS - 1] &= 0x3fffffff;
        q++;
    }
    double fraction = 0;
    for (int i = 0; i < WORDS; i++) /* the largest last, so that little is lost */
        fraction += (double)quarters[i] * f64_of_bits((uint64_t)(1023 + 32 * i - (BITS - 2)) << 52);
    double r = fraction * 0x1.921fb54442d18p+0;
    int negative = above_half != (x < 0);
    *turns = x < 0 ? 4 - (q & 3) : q & 3;
    return negative ? -r : r;
}
