/* engine/interp.c - names, statements and runs; expressions are evaluate.c's. */
#include "engine/interp.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "engine/interp_inside.h"

/* A `with` block that is being run: what comes behind it, and the grad mode to go back to. */
struct frame {
    struct frame *outer;
    const struct tree *rest;
    bool grad_disabled;
};

void interp_init(struct interp *in, struct tape *tape, uint64_t seed,
                 const struct interp_limits *limits)
{
    memset(in, 0, offsetof(struct interp, rng)); /* which is last, and large */
    in->tape = tape;
    in->limits = *limits;
    in->seed = seed;
    in->out = (struct text){.arena = &tape->arena, .max = limits->stdout_bytes};
}

struct rng *interp_rng(struct interp *in)
{
    if (!in->is_seeded)
        rng_seed(&in->rng, in->seed);
    in->is_seeded = true;
    return &in->rng;
}

/* ---- memory and values --------------------------------------------------------------------- */

enum err_kind interp_alloc(struct interp *in, size_t count, size_t size, void *out, struct err *e)
{
    size_t bytes;
    void *block = mem_mul(count, size, &bytes) ? arena_alloc(&in->tape->arena, bytes) : NULL;
    if (!block)
        return err_set(e, ERR_NOMEM, "", "no memory for the program's values");
    memcpy(out, &block, sizeof block);
    return ERR_OK;
}

enum err_kind interp_string(struct interp *in, const char *bytes, size_t count, struct value *out,
                            struct err *e)
{
    char *copy;
    enum err_kind rc = interp_alloc(in, count + 1, 1, &copy, e);
    if (rc)
        return rc;
    if (count)
        memcpy(copy, bytes, count);
    copy[count] = '\0';
    *out = VALUE(STRING, .count = count, .text = copy);
    return ERR_OK;
}

enum err_kind value_list(struct interp *in, enum value_kind kind, const struct value *item,
                         size_t count, struct value *out, struct err *e)
{
    struct value *copy;
    enum err_kind rc = interp_alloc(in, count, sizeof *copy, &copy, e);
    if (rc)
        return rc;
    if (count)
        memcpy(copy, item, count * sizeof *copy);
    *out = (struct value){.kind = kind, .count = count, .item = copy};
    return ERR_OK;
}

enum err_kind interp_tensor(struct interp *in, enum dtype dtype, const struct shape *shape,
                            struct tensor **out, struct err *e)
{
    *out = tape_tensor(in->tape, dtype, shape);
    return *out ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for a tensor");
}

enum err_kind interp_warn(struct interp *in, const char *category, struct err *e,
                          const char *format, ...)
{
    char text[768];
    struct value message;
    struct warning *w, **last = &in->warnings;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    enum err_kind rc = interp_alloc(in, 1, sizeof *w, &w, e);
    if (!rc)
        rc = interp_string(in, text, strlen(text), &message, e);
    if (rc)
        return rc;
    *w = (struct warning){.place = in->statement, .category = category, .message = message.text};
    while (*last)
        last = &(*last)->next;
    *last = w;
    return ERR_OK;
}

/* ---- names --------------------------------------------------------------------------------- */

const struct value *interp_find(const struct interp *in, const char *name)
{
    for (const struct name *n = in->names; n; n = n->older)
        if (!strcmp(n->text, name))
            return &n->value;
    return NULL;
}

void interp_each(const struct interp *in,
                 void (*each)(void *arg, const char *name, const struct value *value), void *arg)
{
    for (const struct name *n = in->names; n; n = n->older)
        each(arg, n->text, &n->value);
}

/* text lives as long as the run. */
static enum err_kind set_name(struct interp *in, const char *text, const struct value *value,
                              struct err *e)
{
    struct name *n = in->names;
    while (n && strcmp(n->text, text) != 0)
        n = n->older;
    if (!n) {
        enum err_kind rc = interp_alloc(in, 1, sizeof *n, &n, e);
        if (rc)
            return rc;
        *n = (struct name){.older = in->names, .text = text};
        in->names = n;
    }
    n->value = *value;
    return ERR_OK;
}

enum err_kind interp_set(struct interp *in, const char *name, struct value value, struct err *e)
{
    struct value text;
    enum err_kind rc = interp_string(in, name, strlen(name), &text, e);
    return rc ? rc : set_name(in, text.text, &value, e);
}

/* ---- statements ---------------------------------------------------------------------------- */

static enum err_kind assign(struct interp *in, const struct tree *target, const struct value *value,
                            struct err *e);

/* a, b = x: x is a list of as many, or a tensor that is taken apart along its first dimension. */
static enum err_kind unpack(struct interp *in, const struct tree *target, const struct value *value,
                            struct err *e)
{
    size_t wanted = 0, count = value->count, i = 0;
    for (const struct tree *t = target->items; t; t = t->next)
        wanted++;
    bool is_tensor = value->kind == VALUE_TENSOR;
    if (is_tensor && value->tensor->shape.rank == 0)
        return err_set(e, ERR_INVALID, "", "iteration over a 0-d tensor");
    if (is_tensor)
        count = (size_t)value->tensor->shape.dim[0];
    else if (!value_is_list(value))
        return err_set(e, ERR_INVALID, "", "cannot unpack non-iterable %s object",
                       value_type_name(value));
    if (count < wanted)
        return err_set(e, ERR_INVALID, "", "not enough values to unpack (expected %zu, got %zu)",
                       wanted, count);
    if (count > wanted)
        return err_set(e, ERR_INVALID, "", "too many values to unpack (expected %zu)", wanted);
    enum err_kind rc = ERR_OK;
    for (const struct tree *t = target->items; !rc && t; t = t->next, i++) {
        struct value item = is_tensor ? NO_VALUE : value->item[i];
        struct value index = VALUE(INT, .integer = (int64_t)i);
        if (is_tensor)
            rc = subscript_get(in, value, &index, &item, e);
        if (!rc)
            rc = assign(in, t, &item, e);
    }
    return rc;
}

static enum err_kind assign(struct interp *in, const struct tree *target, const struct value *value,
                            struct err *e)
{
    struct value of, index;
    enum err_kind rc;
    switch ((int)target->kind) {
    case TREE_NAME:
        return set_name(in, target->text, value, e);
    case TREE_ATTRIBUTE:
        rc = evaluate(in, target->a, &of, e);
        return rc ? rc : attribute_set(in, &of, target->text, value, e);
    case TREE_INDEX:
        rc = evaluate(in, target->a, &of, e);
        if (!rc)
            rc = evaluate(in, target->b, &index, e);
        return rc ? rc : subscript_set(in, &of, &index, value, e);
    default:
        return unpack(in, target, value, e);
    }
}

static enum err_kind run_assign(struct interp *in, const struct tree *t, struct err *e)
{
    struct value value;
    enum err_kind rc = evaluate(in, t->b, &value, e);
    for (const struct tree *target = t->items; !rc && target; target = target->next)
        rc = assign(in, target, &value, e);
    return rc;
}

/* What the target's expression is made of is evaluated once. */
static enum err_kind run_augmented(struct interp *in, const struct tree *t, struct err *e)
{
    struct value of = NO_VALUE, index = NO_VALUE, now, by;
    const struct tree *target = t->a;
    enum err_kind rc = target->kind == TREE_NAME ? ERR_OK : evaluate(in, target->a, &of, e);
    if (!rc && target->kind == TREE_INDEX)
        rc = evaluate(in, target->b, &index, e);
    if (rc)
        return rc;
    if (target->kind == TREE_NAME)
        rc = evaluate(in, target, &now, e);
    else if (target->kind == TREE_ATTRIBUTE)
        rc = attribute_get(in, &of, target->text, &now, e);
    else
        rc = subscript_get(in, &of, &index, &now, e);
    if (!rc)
        rc = evaluate(in, t->b, &by, e);
    if (!rc)
        rc = operate_in_place(in, t->op, &now, &by, &now, e);
    if (rc)
        return rc;
    if (target->kind == TREE_NAME)
        return set_name(in, target->text, &now, e);
    if (target->kind == TREE_ATTRIBUTE)
        return attribute_set(in, &of, target->text, &now, e);
    return subscript_set(in, &of, &index, &now, e);
}

static enum err_kind run_with(struct interp *in, const struct tree *t, struct err *e)
{
    struct value guard;
    struct frame *f;
    enum err_kind rc = evaluate(in, t->a, &guard, e);
    if (!rc && guard.kind != VALUE_GUARD)
        rc =
            err_set(e, ERR_INVALID, "", "'%s' object does not support the context manager protocol",
                    value_type_name(&guard));
    if (!rc)
        rc = interp_alloc(in, 1, sizeof *f, &f, e);
    if (rc)
        return rc;
    *f = (struct frame){.outer = in->frame,
                        .rest = in->next,
                        .grad_disabled = guard.count ? guard.count == GUARD_WAS_DISABLED
                                                     : in->tape->grad_disabled};
    in->frame = f;
    in->next = t->items;
    in->tape->grad_disabled = guard.integer == 0;
    return ERR_OK;
}

static void leave_block(struct interp *in)
{
    in->tape->grad_disabled = in->frame->grad_disabled;
    in->next = in->frame->rest;
    in->frame = in->frame->outer;
}

/* `import torch` binds what is there anyway; `as F` gives the module a name. */
static enum err_kind run_import(struct interp *in, const struct tree *t, struct err *e)
{
    bool in_place;
    char text[128];
    const struct builtin *row = builtin_find(t->text, &in_place);
    if (!builtin_is_module(t->text) && !row)
        return err_set(e, ERR_INVALID, "",
                       t->b ? "cannot import name '%.100s'" : "No module named '%.100s'", t->text);
    import_path(t, text, sizeof text);
    struct value value = VALUE(BUILTIN, .builtin = row, .names = t->a->text);
    enum err_kind rc = ERR_OK;
    if (builtin_is_module(text)) {
        rc = interp_string(in, text, strlen(text), &value, e);
        value.kind = VALUE_MODULE;
    }
    return rc ? rc : set_name(in, t->a->text, &value, e);
}

static enum err_kind run_assert(struct interp *in, const struct tree *t, struct err *e)
{
    struct value condition, message;
    bool holds;
    enum err_kind rc = evaluate(in, t->a, &condition, e);
    if (!rc)
        rc = value_truth(in, &condition, &holds, e);
    if (rc || holds)
        return rc;
    struct text words = {.arena = &in->tape->arena, .max = 300};
    if (t->b) {
        rc = evaluate(in, t->b, &message, e);
        if (rc)
            return rc;
        show_str(&words, &message);
    }
    return err_set(e, ERR_INVALID, "", "%s", words.bytes ? words.at : "AssertionError");
}

static enum err_kind run_statement(struct interp *in, const struct tree *t, struct value *out,
                                   struct err *e)
{
    switch ((int)t->kind) {
    case TREE_EXPRESSION:
        return evaluate(in, t->a, out, e);
    case TREE_ASSIGN:
        return run_assign(in, t, e);
    case TREE_AUGMENTED:
        return run_augmented(in, t, e);
    case TREE_WITH:
        return run_with(in, t, e);
    case TREE_IMPORT:
        return run_import(in, t, e);
    case TREE_ASSERT:
        return run_assert(in, t, e);
    default: /* pass */
        return ERR_OK;
    }
}

/* ---- runs ---------------------------------------------------------------------------------- */

/* After an error: the grad mode is that of before the run. */
static void leave_all(struct interp *in)
{
    while (in->frame)
        leave_block(in);
    in->running = false;
}

/* One statement, or the end of a block. *out: the value of an expression. */
static enum err_kind advance(struct interp *in, struct value *out, struct err *e)
{
    if (!in->next) {
        leave_block(in);
        return ERR_OK;
    }
    const struct tree *t = in->next;
    in->next = t->next;
    in->where = (struct place){0, 0};
    in->statement = t->place;
    enum err_kind rc = run_statement(in, t, out, e);
    if (!rc)
        return ERR_OK;
    if (in->where.line == 0)
        in->where = t->place;
    leave_all(in);
    return rc;
}

enum err_kind interp_run(struct interp *in, const struct program *p, bool (*stop)(void *arg),
                         void *arg, bool *again, struct err *e)
{
    struct value ignored;
    if (!in->running) {
        in->next = p->first;
        in->running = true;
    }
    *again = false;
    while (in->next || in->frame) {
        if (stop && stop(arg)) {
            *again = true;
            return ERR_OK;
        }
        enum err_kind rc = advance(in, &ignored, e);
        if (rc)
            return rc;
    }
    in->running = false;
    return ERR_OK;
}

/* The value of the last statement, which is an expression outside of any block. */
static enum err_kind run_for_value(struct interp *in, const struct program *p, struct value *out,
                                   struct err *e)
{
    const struct tree *last = p->first;
    while (last && last->next)
        last = last->next;
    if (!last || last->kind != TREE_EXPRESSION) {
        in->where = last ? last->place : (struct place){1, 1};
        return err_set(e, ERR_INVALID, "", "the last line must be an expression");
    }
    in->next = p->first;
    enum err_kind rc = ERR_OK;
    while (!rc && (in->next || in->frame))
        rc = advance(in, out, e);
    return rc;
}

enum err_kind interp_evaluate(struct interp *in, const struct program *p, struct value *out,
                              struct err *e)
{
    in->where = (struct place){1, 1};
    if (!p->first || p->first->next || p->first->kind != TREE_EXPRESSION)
        return err_set(e, ERR_INVALID, "", "must be one expression");
    return run_for_value(in, p, out, e);
}

enum err_kind interp_forward(struct interp *in, const struct program *p, struct tensor **out,
                             struct err *e)
{
    struct value value;
    in->pure = true;
    enum err_kind rc = run_for_value(in, p, &value, e);
    if (!rc && value.kind != VALUE_TENSOR)
        rc = err_set(e, ERR_INVALID, "", "the last line must give a tensor, not %s",
                     value_type_name(&value));
    if (!rc)
        *out = value.tensor;
    return rc;
}
