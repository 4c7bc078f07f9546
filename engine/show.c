#include "engine/show.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "engine/show_inside.h"
#include "engine/tape.h"

/* How the items of a value are shown, and in how many others they stand. */
struct manner {
    bool ascii;
    int depth;
};

/* ---- names --------------------------------------------------------------------------------- */

const char *value_type_name(const struct value *x)
{
    static const char *const names[] = {
        [VALUE_NONE] = "NoneType", [VALUE_BOOL] = "bool",
        [VALUE_INT] = "int",       [VALUE_FLOAT] = "float",
        [VALUE_STRING] = "str",    [VALUE_TUPLE] = "tuple",
        [VALUE_LIST] = "list",     [VALUE_SIZE] = "torch.Size",
        [VALUE_TENSOR] = "Tensor", [VALUE_DTYPE] = "torch.dtype",
        [VALUE_SLICE] = "slice",   [VALUE_ELLIPSIS] = "ellipsis",
        [VALUE_MODULE] = "module", [VALUE_BUILTIN] = "builtin_function_or_method"};
    if (x->kind == VALUE_NODE)
        return node_class(x->node);
    if (x->kind == VALUE_GUARD)
        return x->integer ? "enable_grad" : "no_grad";
    return names[x->kind];
}

/* ---- objects that have an address ---------------------------------------------------------- */

/* Where the n-th object of a program would lie, had it been one of PyTorch's on Linux. */
static uint64_t address_of(uint64_t n)
{
    return UINT64_C(0x7f0000000000) + 64 * n;
}

static void put_node(struct text *t, const struct node *n)
{
    uint64_t number = 1;
    for (const struct node *at = n->older; at; at = at->older)
        number++;
    text_addf(t, "<%s object at 0x%012" PRIx64 ">", node_class(n), address_of(number));
}

static void put_builtin(struct text *t, const struct value *x)
{
    if (x->item)
        text_addf(t, "<built-in method %s of %s object at 0x%012" PRIx64 ">", x->names,
                  value_type_name(x->item), address_of(0));
    else
        text_addf(t, "<built-in function %s>", x->names);
}

static void put_guard(struct text *t, const struct value *x)
{
    text_addf(t, "<torch.autograd.grad_mode.%s object at 0x%012" PRIx64 ">", value_type_name(x),
              address_of(0));
}

/* ---- values -------------------------------------------------------------------------------- */

static void put_float(struct text *t, double x)
{
    char digits[FLOAT_REPR_BYTES];
    if (signbit(x) && !isnan(x))
        text_puts(t, "-");
    text_add(t, digits, float_repr(fabs(x), false, digits));
}

static void put_value(struct text *t, const struct value *x, struct manner m);

static void put_items(struct text *t, const struct value *x, const char *open, const char *close,
                      struct manner m)
{
    text_puts(t, open);
    for (size_t i = 0; i < x->count && !t->cut; i++) {
        if (i)
            text_puts(t, ", ");
        put_value(t, &x->item[i], m);
    }
    text_puts(t, close);
}

/* torch.return_types.max(
 * values=…,
 * indices=…) */
static void put_named_tuple(struct text *t, const struct value *x, struct manner m)
{
    const char *name = x->names;
    size_t bytes = strcspn(name, " ");
    text_add(t, name, bytes);
    text_puts(t, "(");
    for (size_t i = 0; i < x->count && !t->cut; i++) {
        name += bytes + (name[bytes] == ' ');
        bytes = strcspn(name, " ");
        text_addf(t, "%s\n%.*s=", i ? "," : "", (int)bytes, name);
        put_value(t, &x->item[i], m);
    }
    text_puts(t, ")");
}

static void put_tuple(struct text *t, const struct value *x, struct manner m)
{
    if (m.depth > SHOW_DEPTH_MAX)
        text_puts(t, "(...)");
    else if (x->names)
        put_named_tuple(t, x, m);
    else
        put_items(t, x, "(", x->count == 1 ? ",)" : ")", m);
}

static void put_list(struct text *t, const struct value *x, struct manner m)
{
    if (m.depth > SHOW_DEPTH_MAX)
        text_puts(t, "[...]");
    else
        put_items(t, x, "[", "]", m);
}

static const char *constant_name(const struct value *x)
{
    if (x->kind == VALUE_BOOL)
        return x->boolean ? "True" : "False";
    return x->kind == VALUE_NONE ? "None" : "Ellipsis";
}

static void put_value(struct text *t, const struct value *x, struct manner m)
{
    m.depth++;
    switch (x->kind) {
    case VALUE_NONE:
    case VALUE_BOOL:
    case VALUE_ELLIPSIS:
        text_puts(t, constant_name(x));
        break;
    case VALUE_INT:
        text_addf(t, "%" PRId64, x->integer);
        break;
    case VALUE_FLOAT:
        put_float(t, x->number);
        break;
    case VALUE_STRING:
        show_quoted(t, x->text, x->count, m.ascii);
        break;
    case VALUE_TUPLE:
        put_tuple(t, x, m);
        break;
    case VALUE_LIST:
        put_list(t, x, m);
        break;
    case VALUE_SIZE:
        put_items(t, x, "torch.Size([", "])", m);
        break;
    case VALUE_TENSOR:
        show_tensor(t, x->tensor);
        break;
    case VALUE_DTYPE:
        text_addf(t, "torch.%s", dtype_name(x->dtype));
        break;
    case VALUE_NODE:
        put_node(t, x->node);
        break;
    case VALUE_SLICE:
        put_items(t, x, "slice(", ")", m);
        break;
    case VALUE_MODULE:
        text_addf(t, "<module '%s' (built-in)>", x->text);
        break;
    case VALUE_BUILTIN:
        put_builtin(t, x);
        break;
    case VALUE_GUARD:
        put_guard(t, x);
        break;
    }
}

void show_str(struct text *t, const struct value *x)
{
    if (x->kind == VALUE_STRING)
        text_add(t, x->text, x->count);
    else
        show_repr(t, x);
}

void show_repr(struct text *t, const struct value *x)
{
    put_value(t, x, (struct manner){.depth = 0});
}

void show_ascii(struct text *t, const struct value *x)
{
    put_value(t, x, (struct manner){.ascii = true});
}
