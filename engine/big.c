#include "engine/big.h"

#include <assert.h>
#include <string.h>

static void push(struct big *b, uint32_t word)
{
    assert(b->words < BIG_WORDS);
    b->word[b->words++] = word;
}

void big_set(struct big *b, uint64_t x)
{
    b->words = 0;
    for (; x; x >>= 32)
        push(b, (uint32_t)x);
}

void big_mul_add(struct big *b, uint32_t factor, uint32_t add)
{
    uint64_t carry = add;
    for (size_t i = 0; i < b->words; i++) {
        carry += (uint64_t)b->word[i] * factor;
        b->word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry)
        push(b, (uint32_t)carry);
}

void big_div(struct big *b, uint32_t divisor)
{
    uint64_t rest = 0;
    for (size_t i = b->words; i-- > 0;) {
        rest = rest << 32 | b->word[i];
        b->word[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    while (b->words && !b->word[b->words - 1])
        b->words--;
}

void big_mul_pow5(struct big *b, unsigned n)
{
    const uint32_t pow13 = 1220703125; /* 5^13, the highest power in 32 bits */
    for (; n >= 13; n -= 13)
        big_mul_add(b, pow13, 0);
    for (; n; n--)
        big_mul_add(b, 5, 0);
}

void big_shift(struct big *b, unsigned bits)
{
    size_t words = bits / 32;
    if (!b->words)
        return;
    big_mul_add(b, (uint32_t)1 << bits % 32, 0);
    assert(words <= BIG_WORDS - b->words);
    memmove(b->word + words, b->word, b->words * sizeof *b->word);
    memset(b->word, 0, words * sizeof *b->word);
    b->words += words;
}

int big_compare(const struct big *a, const struct big *b)
{
    if (a->words != b->words)
        return a->words < b->words ? -1 : 1;
    for (size_t i = a->words; i-- > 0;) {
        if (a->word[i] != b->word[i])
            return a->word[i] < b->word[i] ? -1 : 1;
    }
    return 0;
}

/* The i-th word from the top, 0 below the lowest one. */
static uint64_t word_from_top(const struct big *b, size_t i)
{
    return i < b->words ? b->word[b->words - 1 - i] : 0;
}

void big_top(const struct big *b, uint64_t *high, uint64_t *low)
{
    assert(b->words);
    int shift = __builtin_clz(b->word[b->words - 1]);
    *high = word_from_top(b, 0) << 32 | word_from_top(b, 1);
    *low = word_from_top(b, 2) << 32 | word_from_top(b, 3);
    if (shift) {
        *high = *high << shift | *low >> (64 - shift);
        *low = *low << shift | word_from_top(b, 4) >> (32 - shift);
    }
}
