/* The table of functions says of itself what arguments.c takes for granted: types and fields that
 * exist, defaults that can be read, no more parameters than there is room for, and for what applies
 * one operation as many tensors as that takes. */
#include <stdio.h>

#include "engine/arguments.h"
#include "engine/decimal.h"
#include "tests/engine/lab.h"

static const char *const types[] = {"Tensor", "Operand", "Number", "int",     "float",
                                    "bool",   "str",     "dtype",  "int[]",   "int[1]",
                                    "int...", "any",     "any...", "Tensor[]"};
static const char *const fields[] = {"alpha", "beta",      "keepdim", "ignore_index", "correction",
                                     "dim",   "dim2",      "new_dim", "dims",         "some_dims",
                                     "start", "reduction", "dtype",   "tanh"};

static bool is_one_of(const char *const *list, size_t count, const char *text, size_t n)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(list[i]) == n && !memcmp(list[i], text, n))
            return true;
    return false;
}

static bool is_default(const char *text, size_t n)
{
    static const char *const words[] = {"None", "True", "False"};
    const char *end = text + n;
    double x;
    return is_one_of(words, COUNT(words), text, n) ||
           (n >= 2 && text[0] == '\'' && text[n - 1] == '\'') ||
           decimal_read_f64(text, end, &x) == end;
}

/* Checks one parameter; counts it if it is a tensor that has to be given. */
static void check_parameter(const struct builtin *b, const char *at, size_t n, int *tensors)
{
    char text[160];
    assert_true(n < sizeof text);
    snprintf(text, sizeof text, "%.*s", (int)n, at);
    char *name = strchr(text, ' '), *field = strchr(text, ':'), *equals = strchr(text, '=');
    if (!name)
        fail_msg("%s: \"%s\" has no type", b->names, text);
    size_t type = (size_t)(name - text);
    bool optional = text[type - 1] == '?';
    if (!is_one_of(types, COUNT(types), text, type - optional))
        fail_msg("%s: \"%s\" is of no type that there is", b->names, text);
    if (field && !is_one_of(fields, COUNT(fields), field + 1, strlen(field + 1)))
        fail_msg("%s: \"%s\" has no field that there is", b->names, text);
    if (equals && !is_default(equals + 1, (field ? (size_t)(field - equals) : strlen(equals)) - 1))
        fail_msg("%s: \"%s\" has a default that is no literal", b->names, text);
    bool tensor = !strncmp(text, "Tensor ", 7) || !strncmp(text, "Operand ", 8);
    *tensors += tensor;
    if (b->fn == builtin_apply && !tensor &&
        (!strncmp(text, "any", 3) || !strncmp(text, "Tensor", 6)))
        fail_msg("%s: \"%s\" would be taken for an operand, or be left out as one", b->names, text);
}

static void signatures_can_be_read(void **state)
{
    (void)state;
    for (const struct builtin *b = builtins; b->names; b++) {
        int parameters = 0, tensors = 0;
        for (const char *at = b->signature; *at;) {
            size_t n = strstr(at, ", ") ? (size_t)(strstr(at, ", ") - at) : strlen(at);
            if (n != 1 || *at != '*') {
                check_parameter(b, at, n, &tensors);
                parameters++;
            }
            at += at[n] ? n + 2 : n;
        }
        assert_true(parameters <= ARGUMENTS_MAX);
        if (b->fn == builtin_apply && tensors != op_arity(&kernels_best()->ops[b->op]))
            fail_msg("%s gives %d tensors to %s", b->names, tensors,
                     kernels_best()->ops[b->op].name);
    }
}

/* Every spelling leads to its row, or to the first of its overloads. */
static void spellings_are_found(void **state)
{
    (void)state;
    for (const struct builtin *b = builtins; b->names; b++)
        for (const char *at = b->names; *at; at += strcspn(at, " "), at += *at == ' ') {
            char name[128];
            bool in_place;
            snprintf(name, sizeof name, "%.*s", (int)strcspn(at, " "), at);
            const struct builtin *found = builtin_find(name, &in_place);
            if (!found || strcmp(found->names, b->names) != 0)
                fail_msg("%s leads to %s", name, found ? found->names : "nothing");
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_can_be_read),
        cmocka_unit_test(spellings_are_found),
    };
    decimal_init();
    return cmocka_run_group_tests_name("builtins", tests, NULL, NULL);
}
