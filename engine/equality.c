/* engine/equality.c - ==, is and in, on values that are no tensors. */
#include <string.h>

#include "engine/operators.h"

/* How far a comparison may go: lists may hold lists that hold the same list many times. */
#define EQUAL_DEPTH_MAX 200
#define EQUAL_ITEMS_MAX 1000000
struct comparison {
    int depth;
    int64_t items;
    bool too_far;
};

static bool equal(struct comparison *c, const struct value *a, const struct value *b);

static bool equal_items(struct comparison *c, const struct value *a, const struct value *b)
{
    bool same = true;
    if (a->item == b->item)
        return true;
    c->too_far = c->too_far || c->depth == EQUAL_DEPTH_MAX;
    c->depth++;
    for (size_t i = 0; i < a->count && same && !c->too_far; i++) {
        c->too_far = ++c->items > EQUAL_ITEMS_MAX;
        same = equal(c, &a->item[i], &b->item[i]);
    }
    c->depth--;
    return same;
}

/* a == b of what is no tensor; identity for what has no value of its own. A torch.Size is a tuple.
 */
static bool equal(struct comparison *c, const struct value *a, const struct value *b)
{
    if (value_is_number(a) && value_is_number(b))
        return compare_numbers(TREE_OP_EQ, a, b);
    if (value_is_list(a) && value_is_list(b))
        return (a->kind == VALUE_LIST) == (b->kind == VALUE_LIST) && a->count == b->count &&
               equal_items(c, a, b);
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case VALUE_NONE:
    case VALUE_ELLIPSIS:
        return true;
    case VALUE_STRING:
        return a->count == b->count && !memcmp(a->text, b->text, a->count);
    case VALUE_DTYPE:
        return a->dtype == b->dtype;
    case VALUE_TENSOR:
        return a->tensor == b->tensor;
    case VALUE_NODE:
        return a->node == b->node;
    case VALUE_MODULE:
        return !strcmp(a->text, b->text);
    case VALUE_BUILTIN:
        return a->builtin == b->builtin && a->item == b->item;
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_FLOAT:
    case VALUE_TUPLE:
    case VALUE_LIST:
    case VALUE_SIZE:
    case VALUE_SLICE:
    case VALUE_GUARD:
        break;
    }
    return false;
}

enum err_kind values_equal(const struct value *a, const struct value *b, bool *same, struct err *e)
{
    struct comparison c = {.depth = 0};
    *same = equal(&c, a, b);
    return c.too_far ? err_set(e, ERR_INVALID, "", "the lists are too deep or too long to compare")
                     : ERR_OK;
}

/* a is b: Python's small integers and strings are their values here. */
enum err_kind values_same(const struct value *a, const struct value *b, bool *same, struct err *e)
{
    *same = false;
    return a->kind == b->kind ? values_equal(a, b, same, e) : ERR_OK;
}

enum err_kind value_contains(const struct value *item, const struct value *list, bool *found,
                             struct err *e)
{
    if (list->kind == VALUE_STRING && item->kind == VALUE_STRING) {
        *found = strstr(list->text, item->text) != NULL;
        return ERR_OK;
    }
    if (!value_is_list(list))
        return err_set(e, ERR_INVALID, "", "argument of type '%s' is not iterable",
                       value_type_name(list));
    enum err_kind rc = ERR_OK;
    *found = false;
    for (size_t i = 0; !rc && !*found && i < list->count; i++)
        rc = values_equal(item, &list->item[i], found, e);
    return rc;
}
