#include "storage/checksum.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* Castagnoli's, bits reversed */

/* table[k][b]: what byte b does to the remainder when k more bytes follow it, so that eight
 * bytes are taken in one step ("slicing by 8"). */
static uint32_t table[8][256];
static pthread_once_t table_made = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t r = b;
        for (int bit = 0; bit < 8; bit++)
            r = (r >> 1) ^ (r & 1 ? POLYNOMIAL : 0);
        table[0][b] = r;
    }
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++)
            table[k][b] = (table[k - 1][b] >> 8) ^ table[0][table[k - 1][b] & 255];
}

static uint32_t load_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t checksum_by_table(uint32_t before, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    uint32_t r = ~before;
    pthread_once(&table_made, make_table);
    for (; bytes >= 8; p += 8, bytes -= 8) {
        uint32_t low = r ^ load_u32(p), high = load_u32(p + 4);
        r = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^
            table[4][low >> 24] ^ table[3][high & 255] ^ table[2][high >> 8 & 255] ^
            table[1][high >> 16 & 255] ^ table[0][high >> 24];
    }
    for (; bytes > 0; p++, bytes--)
        r = (r >> 8) ^ table[0][(r ^ *p) & 255];
    return ~r;
}

#ifdef __x86_64__

/* The processor has an instruction for this polynomial. */
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t before, const void *data,
                                                                 size_t bytes)
{
    const unsigned char *p = data;
    uint64_t r = ~before;
    for (uint64_t word; bytes >= sizeof word; p += sizeof word, bytes -= sizeof word) {
        memcpy(&word, p, sizeof word);
        r = __builtin_ia32_crc32di(r, word);
    }
    for (; bytes > 0; p++, bytes--)
        r = __builtin_ia32_crc32qi((uint32_t)r, *p);
    return ~(uint32_t)r;
}

uint32_t checksum(uint32_t before, const void *data, size_t bytes)
{
    return __builtin_cpu_supports("sse4.2") ? by_instruction(before, data, bytes)
                                            : checksum_by_table(before, data, bytes);
}

#else

uint32_t checksum(uint32_t before, const void *data, size_t bytes)
{
    return checksum_by_table(before, data, bytes);
}

#endif

uint32_t checksum_i64(uint32_t before, int64_t value)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)value >> 8 * i & 255);
    return checksum(before, bytes, sizeof bytes);
}

uint32_t checksum_f64(uint32_t before, double value)
{
    int64_t bits = -1; /* one of the NaNs */
    if (!isnan(value))
        memcpy(&bits, &value, sizeof bits);
    return checksum_i64(before, bits);
}

uint32_t checksum_text(uint32_t before, const char *text)
{
    if (!text)
        return checksum_i64(before, -1);
    size_t length = strlen(text);
    return checksum(checksum_i64(before, (int64_t)length), text, length);
}
