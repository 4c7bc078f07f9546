#include "tests/engine/show_golden.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/engine/lab.h"

#define GOLDEN "tests/data/golden/show.txt"

static char *file_text; /* whole, NUL-terminated */
static const char *at;  /* what is read next */

void golden_open(void)
{
    FILE *f = fopen(GOLDEN, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long bytes = ftell(f);
    assert_true(bytes > 0);
    rewind(f);
    file_text = calloc(1, (size_t)bytes + 1);
    assert_non_null(file_text);
    assert_int_equal(fread(file_text, 1, (size_t)bytes, f), bytes);
    fclose(f);
    at = file_text;
}

void golden_close(void)
{
    free(file_text);
    file_text = NULL;
}

const char *golden_next(void)
{
    return *at ? at : NULL;
}

bool golden_refused(void)
{
    return *at == '!';
}

bool golden_skip(const char *word)
{
    size_t bytes = strlen(word);
    if (strncmp(at, word, bytes) != 0 || !strchr(" \n", at[bytes]))
        return false;
    at += bytes + (at[bytes] == ' ');
    return true;
}

/* The next word, up to a blank or the line's end; the reader goes on behind the blank. */
static const char *word(size_t *bytes)
{
    const char *start = at;
    *bytes = strcspn(at, " \n");
    at += *bytes;
    at += *at == ' ';
    return start;
}

static int64_t whole_number(void)
{
    size_t bytes;
    return strtoll(word(&bytes), NULL, 10);
}

void *golden_room(size_t count, size_t size)
{
    void *memory = arena_alloc(&lab.memory, count * size + 1);
    assert_non_null(memory);
    memset(memory, 0, count * size + 1);
    return memory;
}

struct text golden_text(size_t max)
{
    return (struct text){.arena = &lab.memory, .max = max};
}

/* "2,3", or "-" for none */
static int dims(int64_t *dim)
{
    size_t bytes;
    int count = 0;
    for (const char *d = word(&bytes); *d != '-' && *d != ' '; d += *d == ',')
        dim[count++] = strtoll(d, (char **)&d, 10);
    return count;
}

static enum dtype dtype_next(void)
{
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (golden_skip(dtype_name((enum dtype)i)))
            return (enum dtype)i;
    fail_msg("no type: %.40s", at);
    return DTYPE_COUNT;
}

static void put_number(void *data, enum dtype dtype, int64_t i, const char *text)
{
    if (dtype == DTYPE_FLOAT32)
        ((float *)data)[i] = strtof(text, NULL);
    else if (dtype == DTYPE_FLOAT64)
        ((double *)data)[i] = strtod(text, NULL);
    else if (dtype == DTYPE_INT64)
        ((int64_t *)data)[i] = strtoll(text, NULL, 10);
    else
        ((bool *)data)[i] = *text != '0';
}

/* Fills count elements with the words that follow, over and over again. */
static void read_numbers(void *data, enum dtype dtype, int64_t count)
{
    size_t size = dtype_bytes(dtype), bytes;
    int64_t words = whole_number(), period = 0;
    for (int64_t w = 0; w < words; w++) {
        const char *text = word(&bytes), *times = memchr(text, '*', bytes);
        int64_t run = times ? strtoll(times + 1, NULL, 10) : 1;
        for (; run > 0 && period < count; run--)
            put_number(data, dtype, period++, text);
    }
    for (int64_t i = period; i < count; i++)
        memcpy((char *)data + (size_t)i * size, (char *)data + (size_t)(i - period) * size, size);
}

/* A node that only has a name. */
static struct node *node_named(const char *name, size_t bytes)
{
    struct node *n = golden_room(1, sizeof *n);
    struct op *op = golden_room(1, sizeof *op);
    char *copy = golden_room(1, bytes + 1);
    memcpy(copy, name, bytes);
    op->node = copy;
    n->call.op = op;
    return n;
}

/* dtype shape stride offset elements history words… */
static struct tensor *read_tensor(void)
{
    struct tensor *x = golden_room(1, sizeof *x);
    x->storage = golden_room(1, sizeof *x->storage);
    x->dtype = dtype_next();
    x->shape.rank = dims(x->shape.dim);
    dims(x->stride);
    x->offset = whole_number();
    int64_t elements = whole_number();
    x->storage->data = golden_room((size_t)elements, dtype_bytes(x->dtype));
    size_t bytes;
    if (golden_skip("leaf"))
        x->requires_grad = true;
    else if (!golden_skip("-")) {
        const char *name = word(&bytes);
        x->grad_fn = node_named(name, bytes);
        x->requires_grad = true;
    }
    read_numbers(x->storage->data, x->dtype, elements);
    return x;
}

static void read_string(struct value *x)
{
    size_t digits;
    const char *hex = word(&digits);
    char *copy = golden_room(1, digits / 2 + 1);
    x->count = *hex == '-' ? 0 : digits / 2;
    for (size_t i = 0; i < x->count; i++) {
        char byte[3] = {hex[2 * i], hex[2 * i + 1], 0};
        copy[i] = (char)strtol(byte, NULL, 16);
    }
    x->text = copy;
}

static struct value read_items(enum value_kind kind, size_t count, const char *names)
{
    struct value x = {.kind = kind, .count = count, .names = names};
    x.item = golden_room(count, sizeof x);
    for (size_t i = 0; i < count; i++)
        x.item[i] = golden_value();
    return x;
}

/* "a,b,c" as value.h has it: "a b c" */
static const char *read_names(void)
{
    size_t bytes;
    const char *names = word(&bytes);
    char *copy = golden_room(1, bytes + 1);
    memcpy(copy, names, bytes);
    for (char *comma; (comma = strchr(copy, ','));)
        *comma = ' ';
    return copy;
}

static struct value read_sequence(void)
{
    if (golden_skip("list"))
        return read_items(VALUE_LIST, (size_t)whole_number(), NULL);
    if (golden_skip("tuple"))
        return read_items(VALUE_TUPLE, (size_t)whole_number(), NULL);
    if (golden_skip("size"))
        return read_items(VALUE_SIZE, (size_t)whole_number(), NULL);
    if (golden_skip("slice"))
        return read_items(VALUE_SLICE, 3, NULL);
    if (!golden_skip("named"))
        fail_msg("no value: %.40s", at);
    const char *names = read_names();
    return read_items(VALUE_TUPLE, (size_t)whole_number(), names);
}

struct value golden_value(void)
{
    struct value x = {.kind = VALUE_NONE};
    size_t bytes;
    if (golden_skip("none"))
        return x;
    if (golden_skip("ellipsis"))
        return (struct value){.kind = VALUE_ELLIPSIS};
    if (golden_skip("true"))
        return (struct value){.kind = VALUE_BOOL, .boolean = true};
    if (golden_skip("false"))
        return (struct value){.kind = VALUE_BOOL};
    if (golden_skip("int"))
        return (struct value){.kind = VALUE_INT, .integer = whole_number()};
    if (golden_skip("float"))
        return (struct value){.kind = VALUE_FLOAT, .number = strtod(word(&bytes), NULL)};
    if (golden_skip("dtype"))
        return (struct value){.kind = VALUE_DTYPE, .dtype = dtype_next()};
    if (golden_skip("tensor"))
        return (struct value){.kind = VALUE_TENSOR, .tensor = read_tensor()};
    if (!golden_skip("str"))
        return read_sequence();
    x.kind = VALUE_STRING;
    read_string(&x);
    return x;
}

struct text golden_lines(char mark)
{
    struct text t = golden_text(SIZE_MAX);
    at += *at == '\n'; /* that of the value's line */
    while (*at == mark) {
        size_t bytes = strcspn(at, "\n");
        if (t.bytes)
            text_puts(&t, "\n");
        text_add(&t, at + 1, bytes - 1);
        at += bytes + 1;
    }
    return t;
}
