/* storage/checksum.h - CRC-32C, over what the store keeps.
 *
 * It finds every flipped bit and every damaged run of up to 32 bits; it is no protection against
 * somebody who means harm.
 * Threads: pure.
 */
#ifndef STORAGE_CHECKSUM_H
#define STORAGE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of what `before` is the checksum of, followed by data. 0: of nothing. */
uint32_t checksum(uint32_t before, const void *data, size_t bytes);
/* The same where the processor has no instruction for it; for tests. */
uint32_t checksum_by_table(uint32_t before, const void *data, size_t bytes);

/* The same for the fields of a row: each adds its length or has a fixed one, so that no two rows
 * run together to the same bytes. */
uint32_t checksum_i64(uint32_t before, int64_t value);
uint32_t checksum_f64(uint32_t before, double value);      /* every NaN counts as the same */
uint32_t checksum_text(uint32_t before, const char *text); /* NULL is not "" */

#endif
