/* The digits of numbers, as Python writes them. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/decimal.h"
#include "engine/mem.h"
#include "engine/show_inside.h"

/* ---- the shortest text that reads back ----------------------------------------------------- */

/* The mantissa with an exponent of at least two digits. */
static size_t put_exponent(const char *mantissa, size_t bytes, int exponent, bool alternate,
                           char *out)
{
    bool point = alternate && !memchr(mantissa, '.', bytes);
    return (size_t)snprintf(out, FLOAT_REPR_BYTES, "%.*s%se%c%02d", (int)bytes, mantissa,
                            point ? "." : "", exponent < 0 ? '-' : '+', abs(exponent));
}

/* From decimal.h's layout to Python's: 1e+16 and not 1e16, 1e-05 and not 0.00001, 3.0 and not 3. */
size_t float_repr(double x, bool alternate, char *out)
{
    char text[DECIMAL_F64_BYTES + 1];
    if (!isfinite(x))
        return mem_fit(out, FLOAT_REPR_BYTES, isnan(x) ? "nan" : "inf");
    size_t bytes = decimal_write_f64(x, text);
    text[bytes] = '\0';
    char *exponent = strchr(text, 'e');
    if (exponent)
        return put_exponent(text, (size_t)(exponent - text), atoi(exponent + 1), alternate, out);
    if (strncmp(text, "0.0000", 6) == 0) {
        char *mantissa = text + 5;
        mantissa[0] = mantissa[1];
        mantissa[1] = '.';
        return put_exponent(mantissa, bytes == 7 ? 1 : bytes - 5, -5, alternate, out);
    }
    return (size_t)snprintf(out, FLOAT_REPR_BYTES, "%s%s", text, strchr(text, '.') ? "" : ".0");
}

/* ---- by type and precision ----------------------------------------------------------------- */

/* Each with a point in any case, or not. The compiler wants to see the formats. */
static size_t put_fixed(double x, int precision, bool alternate, char *out)
{
    return (size_t)(alternate ? snprintf(out, FLOAT_DIGITS_BYTES, "%#.*f", precision, x)
                              : snprintf(out, FLOAT_DIGITS_BYTES, "%.*f", precision, x));
}

static size_t put_scientific(double x, int precision, bool alternate, char *out)
{
    return (size_t)(alternate ? snprintf(out, FLOAT_DIGITS_BYTES, "%#.*e", precision, x)
                              : snprintf(out, FLOAT_DIGITS_BYTES, "%.*e", precision, x));
}

/* 1.500e+02 to 1.5e+02, 1.0 to 1 */
static size_t strip_zeros(char *text, size_t bytes)
{
    char *end = text + strcspn(text, "e"), *rest = end;
    if (!memchr(text, '.', (size_t)(end - text)))
        return bytes;
    while (end[-1] == '0')
        end--;
    if (end[-1] == '.')
        end--;
    memmove(end, rest, strlen(rest) + 1);
    return bytes - (size_t)(rest - end);
}

/* So many digits in all, with an exponent if there are `limit` or more before the point. Not by
 * printf's %#g: glibc's forgets a digit where rounding gives a power of ten (%#.2g of 99.95). */
static size_t put_general(double x, int digits, int limit, bool alternate, char *out)
{
    size_t bytes = put_scientific(x, digits - 1, alternate, out);
    if (!isfinite(x))
        return bytes;
    int exponent = atoi(strchr(out, 'e') + 1);
    if (exponent >= -4 && exponent < limit)
        bytes = put_fixed(x, digits - 1 - exponent, alternate, out);
    return alternate ? bytes : strip_zeros(out, bytes);
}

/* Without a type: what is whole is seen to be a float, 100.0, and its 0 is one of the digits. */
static size_t put_untyped(double x, int digits, bool alternate, char *out)
{
    size_t bytes = put_general(x, digits, digits - 1, alternate, out);
    if (!isfinite(x) || strpbrk(out, ".e"))
        return bytes;
    memcpy(out + bytes, ".0", sizeof ".0");
    return bytes + 2;
}

size_t float_digits(double x, char type, int precision, bool alternate, char *out)
{
    if (type == 0 && precision < 0)
        return float_repr(x, alternate, out);
    int digits = precision < 0 ? 6 : precision, at_least_one = digits ? digits : 1;
    size_t bytes;
    if (type == 0)
        return put_untyped(x, at_least_one, alternate, out);
    if (type == '%')
        bytes = put_fixed(x * 100, digits, alternate, out);
    else if (type == 'f' || type == 'F')
        bytes = put_fixed(x, digits, alternate, out);
    else if (type == 'e' || type == 'E')
        bytes = put_scientific(x, digits, alternate, out);
    else
        bytes = put_general(x, at_least_one, at_least_one, alternate, out);
    if (type == '%')
        memcpy(out + bytes++, "%", sizeof "%");
    for (size_t i = 0; i < bytes && isupper((unsigned char)type); i++)
        out[i] = (char)toupper((unsigned char)out[i]);
    return bytes;
}

size_t int_digits(uint64_t x, char type, char *out)
{
    unsigned base = type == 'b' ? 2 : type == 'o' ? 8 : type == 'x' || type == 'X' ? 16 : 10;
    const char *digits = type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    char reversed[INT_DIGITS_BYTES];
    size_t bytes = 0;
    do {
        reversed[bytes++] = digits[x % base];
        x /= base;
    } while (x);
    for (size_t i = 0; i < bytes; i++)
        out[i] = reversed[bytes - 1 - i];
    return bytes;
}
