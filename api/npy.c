#include "api/npy.h"

#include <string.h>

#include "engine/decimal.h"
#include "engine/mem.h"

#define MAGIC      "\x93NUMPY"
#define MAGIC_SIZE (sizeof MAGIC - 1)
#define HEAD_ALIGN 64
#define HEAD_BYTES 512
_Static_assert(HEAD_BYTES > 128 + RANK_MAX * (DECIMAL_I64_BYTES + 2), "any shape fits");

/* ---- the head, a literal of Python: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 * --
 */

/* What is left of it. */
struct literal {
    const char *at, *end;
};

static void skip_blanks(struct literal *l)
{
    while (l->at < l->end && (*l->at == ' ' || *l->at == '\t' || *l->at == '\n'))
        l->at++;
}

/* Takes the character, and the blanks before it, if it comes next. */
static bool take(struct literal *l, char c)
{
    skip_blanks(l);
    if (l->at == l->end || *l->at != c)
        return false;
    l->at++;
    return true;
}

static bool take_word(struct literal *l, const char *word)
{
    size_t n = strlen(word);
    skip_blanks(l);
    if ((size_t)(l->end - l->at) < n || memcmp(l->at, word, n) != 0)
        return false;
    l->at += n;
    return true;
}

/* A string without escapes, of fewer than room bytes. */
static bool take_string(struct literal *l, char *out, size_t room)
{
    size_t n = 0;
    skip_blanks(l);
    if (l->at == l->end || (*l->at != '\'' && *l->at != '"'))
        return false;
    char quote = *l->at++;
    for (; l->at < l->end && *l->at != quote; l->at++) {
        if (*l->at == '\\' || *l->at == '\0' || n + 1 == room)
            return false;
        out[n++] = *l->at;
    }
    out[n] = '\0';
    return take(l, quote);
}

static bool take_extent(struct literal *l, int64_t *out)
{
    skip_blanks(l);
    const char *start = l->at;
    for (*out = 0; l->at < l->end && *l->at >= '0' && *l->at <= '9'; l->at++)
        if (__builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, *l->at - '0', out))
            return false;
    return l->at > start;
}

/* A tuple: (), (3,), (3, 4). */
static enum err_kind take_shape(struct literal *l, struct shape *out, struct err *e)
{
    int64_t dim[RANK_MAX];
    int rank = 0;
    bool comma = true;
    if (!take(l, '('))
        return err_set(e, ERR_MALFORMED, "", "the .npy file's shape must be a tuple");
    for (; !take(l, ')'); comma = take(l, ',')) {
        if (rank == RANK_MAX)
            return err_set(e, ERR_INVALID, "", "a tensor has at most %d dimensions", RANK_MAX);
        if (!comma || !take_extent(l, &dim[rank++]))
            return err_set(e, ERR_MALFORMED, "",
                           "the .npy file's shape must be a tuple of whole numbers below 2^63");
    }
    if (rank == 1 && !comma)
        return err_set(e, ERR_MALFORMED, "", "the .npy file's shape must be a tuple");
    return shape_make(dim, rank, out, e);
}

static enum err_kind take_type(struct literal *l, enum wire_type *out, struct err *e)
{
    char descr[32];
    if (!take_string(l, descr, sizeof descr))
        return err_set(e, ERR_MALFORMED, "",
                       "the .npy file's descr must be a string that names a type");
    if (descr[0] == '>')
        return err_set(e, ERR_INVALID, "",
                       "the .npy file's numbers must be little-endian, not of type '%s'", descr);
    for (int i = 0; i < WIRE_COUNT; i++)
        if (wire_descr((enum wire_type)i) && !strcmp(descr, wire_descr((enum wire_type)i))) {
            *out = (enum wire_type)i;
            return ERR_OK;
        }
    return err_set(e, ERR_INVALID, "",
                   "the .npy file's type must be that of floats or integers, not '%s'", descr);
}

static enum err_kind take_order(struct literal *l, bool *columns, struct err *e)
{
    *columns = take_word(l, "True");
    if (*columns || take_word(l, "False"))
        return ERR_OK;
    return err_set(e, ERR_MALFORMED, "", "the .npy file's fortran_order must be True or False");
}

enum { KEY_DESCR = 1, KEY_ORDER = 2, KEY_SHAPE = 4, KEYS_ALL = 7 };

/* One key and its value. */
static enum err_kind take_entry(struct literal *l, unsigned *seen, struct wire *out, struct err *e)
{
    static const char *const names[] = {"descr", "fortran_order", "shape"};
    char key[16];
    unsigned i = 0;
    if (!take_string(l, key, sizeof key) || !take(l, ':'))
        return err_set(e, ERR_MALFORMED, "", "the .npy file's head cannot be read");
    while (i < 3 && strcmp(key, names[i]) != 0)
        i++;
    if (i == 3 || (*seen & 1u << i))
        return err_set(e, ERR_MALFORMED, "", "the .npy file's head has a wrong key, \"%s\"", key);
    *seen |= 1u << i;
    return i == 0   ? take_type(l, &out->type, e)
           : i == 1 ? take_order(l, &out->columns, e)
                    : take_shape(l, &out->shape, e);
}

static enum err_kind read_literal(struct literal l, struct wire *out, struct err *e)
{
    unsigned seen = 0;
    bool comma = true;
    enum err_kind rc = ERR_OK;
    if (!take(&l, '{'))
        return err_set(e, ERR_MALFORMED, "", "the .npy file's head cannot be read");
    for (; !rc && comma && !take(&l, '}'); comma = !rc && take(&l, ','))
        rc = take_entry(&l, &seen, out, e);
    if (rc)
        return rc;
    if (!comma && !take(&l, '}'))
        return err_set(e, ERR_MALFORMED, "", "the .npy file's head cannot be read");
    skip_blanks(&l);
    if (l.at < l.end || seen != KEYS_ALL)
        return err_set(e, ERR_MALFORMED, "",
                       "the .npy file's head must be descr, fortran_order and shape");
    return ERR_OK;
}

/* ---- the file ------------------------------------------------------------------------------ */

/* Where the literal begins, and its length. 0: it is not all there. */
static size_t find_head(const unsigned char *file, size_t bytes, size_t *length)
{
    size_t at = file[MAGIC_SIZE] == 1 ? MAGIC_SIZE + 4 : MAGIC_SIZE + 6;
    if (bytes < at)
        return 0;
    *length = 0;
    for (size_t i = at; i > MAGIC_SIZE + 2; i--)
        *length = *length << 8 | file[i - 1];
    return *length <= bytes - at ? at : 0;
}

enum err_kind npy_read(const void *file, size_t bytes, struct wire *out, struct err *e)
{
    const unsigned char *b = file;
    size_t length, size;
    *out = (struct wire){.type = WIRE_COUNT};
    if (bytes < MAGIC_SIZE + 2 || memcmp(b, MAGIC, MAGIC_SIZE) != 0)
        return err_set(e, ERR_MALFORMED, "", "the body is no .npy file");
    if (b[MAGIC_SIZE] < 1 || b[MAGIC_SIZE] > 3 || b[MAGIC_SIZE + 1] != 0)
        return err_set(e, ERR_MALFORMED, "",
                       "the .npy file is of version %d.%d: 1.0 to 3.0 are read", b[MAGIC_SIZE],
                       b[MAGIC_SIZE + 1]);
    size_t at = find_head(b, bytes, &length);
    if (!at)
        return err_set(e, ERR_MALFORMED, "", "the .npy file ends within its head");
    const char *text = (const char *)b + at;
    enum err_kind rc = read_literal((struct literal){text, text + length}, out, e);
    if (rc)
        return rc;
    out->data = b + at + length;
    size_t rest = bytes - at - length;
    if (!wire_size(out->type, &out->shape, &size) || size != rest)
        return err_set(e, ERR_MALFORMED, "",
                       "the .npy file has %zu bytes of numbers, where %lld of type '%s' are named",
                       rest, (long long)shape_count(&out->shape), wire_descr(out->type));
    return ERR_OK;
}

/* Behind the n bytes of a head, which has room for what any tensor's has. */
static size_t put(char head[HEAD_BYTES], size_t n, const char *text)
{
    return n + mem_fit(head + n, HEAD_BYTES - n, text);
}

void npy_write(struct json_out *out, const struct tensor *t)
{
    char head[HEAD_BYTES];
    size_t at = MAGIC_SIZE + 4;
    const struct shape *s = &t->shape;
    size_t n = put(head, at, "{'descr': '");
    n = put(head, n, wire_descr(wire_of_dtype(t->dtype)));
    n = put(head, n, "', 'fortran_order': False, 'shape': (");
    for (int d = 0; d < s->rank; d++) {
        n = put(head, n, d ? ", " : "");
        n += decimal_write_i64(s->dim[d], head + n);
    }
    n = put(head, n, s->rank == 1 ? ",), }" : "), }");
    size_t whole = (n + HEAD_ALIGN) / HEAD_ALIGN * HEAD_ALIGN; /* at least one byte more: its \n */
    memset(head + n, ' ', whole - n);
    head[whole - 1] = '\n';
    memcpy(head, MAGIC "\1", MAGIC_SIZE + 2);
    head[MAGIC_SIZE + 2] = (char)((whole - at) & 255);
    head[MAGIC_SIZE + 3] = (char)((whole - at) >> 8);
    json_expect(out, whole + (size_t)tensor_count(t) * dtype_bytes(t->dtype));
    json_bytes(out, head, whole);
    wire_write(out, t);
}
