/* engine/decimal.h - numbers as text, exactly.
 *
 * Reading is correctly rounded (as strtod in the C locale, round to nearest even); writing gives
 * the shortest decimal that reads back to the same bits, the closest one if there are several.
 * Threads: pure after decimal_init. No locale, no allocation.
 */
#ifndef ENGINE_DECIMAL_H
#define ENGINE_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

/* Makes the tables; call it once before any other thread runs. */
void decimal_init(void);

/* Reads the longest number at text: JSON's grammar, -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?
 * Returns the position behind it, NULL if there is none there or it does not fit the grammar.
 * Never reads at or beyond end. Too large a number gives an infinity, too small a one gives 0. */
const char *decimal_read_f64(const char *text, const char *end, double *out);
const char *decimal_read_f32(const char *text, const char *end, float *out);
/* The same for numbers that follow one another with a comma and JSON's blanks between, room of them
 * at the most. Returns how many there are, and moves *text behind the last one. */
size_t decimal_read_floats(const char **text, const char *end, float *out, size_t room);
/* The same for a whole number, however it is written: 3, 3.0 and 300e-2 are 3. NULL also if it is
 * not whole or not within int64. */
const char *decimal_read_i64(const char *text, const char *end, int64_t *out);

/* The longest text written: "-2.2250738585072014e-308" and "-1.17549435e-38", no NUL. */
#define DECIMAL_F64_BYTES 25
#define DECIMAL_F32_BYTES 16
#define DECIMAL_I64_BYTES 20

/* Writes a finite x and returns the number of bytes; behind them, up to the longest text's,
 * anything may be left. Always valid JSON and always a JSON number that Python and JavaScript read
 * as the same value: 1, 0.1, -0, 1e+30 is written 1e30. Plain digits for 1e-5 <= |x| < 1e16 (f64)
 * or < 1e9 (f32), an exponent otherwise; 3.0 as "3". */
size_t decimal_write_f64(double x, char *out);
size_t decimal_write_f32(float x, char *out);
size_t decimal_write_i64(int64_t x, char *out);
/* The same for n numbers with a comma between. Returns how many there are before one that is not
 * finite, and in *bytes the length of their text; out has room for n of the longest and as many
 * commas. */
size_t decimal_write_floats(const float *x, size_t n, char *out, size_t *bytes);

#endif
