/* engine/evaluate.c - the value of an expression. */
#include <stdio.h>
#include <string.h>

#include "engine/interp_inside.h"

#define CALL_VALUES_MAX 64

/* ---- names and attributes ------------------------------------------------------------------ */

static enum err_kind evaluate_name(struct interp *in, const struct tree *t, struct value *out,
                                   struct err *e)
{
    const struct value *value = interp_find(in, t->text);
    if (value)
        *out = *value;
    else if (t->row)
        *out = VALUE(BUILTIN, .builtin = t->row, .names = t->text);
    else if (!strcmp(t->text, "torch"))
        *out = VALUE(MODULE, .text = "torch");
    else
        return err_set(e, ERR_INVALID, "", "name '%.100s' is not defined", t->text);
    return ERR_OK;
}

static enum err_kind evaluate_attribute(struct interp *in, const struct tree *t, struct value *out,
                                        struct err *e)
{
    struct value of;
    enum err_kind rc = evaluate(in, t->a, &of, e);
    return rc ? rc : attribute_get(in, &of, t->text, out, e);
}

/* ---- calls --------------------------------------------------------------------------------- */

static enum err_kind count_call(struct interp *in, struct err *e)
{
    if (++in->calls > in->limits.calls)
        return err_set(e, ERR_INVALID, "", "the program makes more than %lld calls",
                       (long long)in->limits.calls);
    return in->limits.allow ? in->limits.allow(in->limits.arg, e) : ERR_OK;
}

/* Is the name at the root of torch.nn.functional.relu a module in this run, as it was when the
 * program was bound? */
static bool root_is_module(const struct interp *in, const struct tree *t)
{
    while (t->kind == TREE_ATTRIBUTE)
        t = t->a;
    const struct value *value = interp_find(in, t->text);
    return value ? value->kind == VALUE_MODULE : !strcmp(t->text, "torch");
}

/* The function that is called; of a method, *self is what it is called on. */
static enum err_kind evaluate_callee(struct interp *in, const struct tree *t, struct value *f,
                                     struct value *self, struct err *e)
{
    if (t->kind != TREE_ATTRIBUTE || !t->row)
        return evaluate(in, t, f, e);
    if (t->of_module && root_is_module(in, t)) {
        *f = VALUE(BUILTIN, .count = t->integer != 0, .builtin = t->row, .names = t->text);
        return ERR_OK;
    }
    enum err_kind rc = evaluate(in, t->a, self, e);
    if (rc)
        return rc;
    if (self->kind == VALUE_TENSOR && !t->of_module && !(t->row->flags & BUILTIN_PROPERTY)) {
        *f = VALUE(BUILTIN, .count = t->integer != 0, .builtin = t->row, .item = self,
                   .names = t->text);
        return ERR_OK;
    }
    struct value of = *self;
    return attribute_get(in, &of, t->text, f, e);
}

static enum err_kind evaluate_call(struct interp *in, const struct tree *t, struct value *out,
                                   struct err *e)
{
    struct value f, self, given[CALL_VALUES_MAX];
    const char *keyword[CALL_VALUES_MAX];
    struct call_values values = {.value = given, .keyword = keyword};
    enum err_kind rc = evaluate_callee(in, t->a, &f, &self, e);
    if (!rc && f.kind != VALUE_BUILTIN)
        rc = err_set(e, ERR_INVALID, "", "'%s' object is not callable", value_type_name(&f));
    values.method = !rc && f.item;
    if (values.method)
        given[values.count++] = *f.item;
    for (const struct tree *a = t->items; !rc && a; a = a->next) {
        if (values.count == CALL_VALUES_MAX)
            return err_set(e, ERR_INVALID, "", "a call takes at most %d arguments",
                           CALL_VALUES_MAX - 1);
        if (a->text)
            keyword[values.keywords++] = a->text;
        rc = evaluate(in, a->a, &given[values.count++], e);
    }
    if (!rc)
        rc = count_call(in, e);
    return rc ? rc : builtin_call(in, f.builtin, f.count != 0, &values, out, e);
}

/* ---- literals ------------------------------------------------------------------------------ */

static enum err_kind evaluate_items(struct interp *in, const struct tree *t, struct value *out,
                                    struct err *e)
{
    struct value *item;
    size_t count = 0;
    for (const struct tree *i = t->items; i; i = i->next)
        count++;
    enum err_kind rc = interp_alloc(in, count, sizeof *item, &item, e);
    count = 0;
    for (const struct tree *i = t->items; !rc && i; i = i->next)
        rc = evaluate(in, i, &item[count++], e);
    *out = (struct value){
        .kind = t->kind == TREE_LIST ? VALUE_LIST : VALUE_TUPLE, .count = count, .item = item};
    return rc;
}

static enum err_kind add_fstring(struct interp *in, const struct tree *t, struct text *to,
                                 struct err *e);

/* {a!r:spec} and {a=}. */
static enum err_kind add_field(struct interp *in, const struct tree *t, struct text *to,
                               struct err *e)
{
    struct value x;
    struct text spec = {.arena = &in->tape->arena, .max = 1000}, converted = spec;
    enum err_kind rc = evaluate(in, t->a, &x, e);
    if (!rc && t->b)
        rc = add_fstring(in, t->b, &spec, e);
    if (rc)
        return rc;
    if (t->text)
        text_add(to, t->text, t->bytes);
    bool repr =
        t->conversion == 'r' || t->conversion == 'a' || (t->text && !t->conversion && !t->b);
    if (!repr && t->conversion != 's')
        return show_format(to, &x, spec.bytes ? spec.at : "", spec.bytes, e);
    converted.max = in->limits.stdout_bytes;
    if (t->conversion == 'a')
        show_ascii(&converted, &x);
    else if (repr)
        show_repr(&converted, &x);
    else
        show_str(&converted, &x);
    x = VALUE(STRING, .count = converted.bytes, .text = converted.bytes ? converted.at : "");
    return show_format(to, &x, spec.bytes ? spec.at : "", spec.bytes, e);
}

static enum err_kind add_fstring(struct interp *in, const struct tree *t, struct text *to,
                                 struct err *e)
{
    enum err_kind rc = ERR_OK;
    for (const struct tree *part = t->items; !rc && part; part = part->next)
        if (part->kind == TREE_FIELD)
            rc = add_field(in, part, to, e);
        else
            text_add(to, part->text, part->bytes);
    if (!rc && to->failed)
        rc = err_set(e, ERR_NOMEM, "", "no memory for a string");
    if (!rc && to->cut)
        rc = err_set(e, ERR_INVALID, "", "a string of more than %zu bytes", to->max);
    return rc;
}

static enum err_kind evaluate_fstring(struct interp *in, const struct tree *t, struct value *out,
                                      struct err *e)
{
    struct text text = {.arena = &in->tape->arena, .max = in->limits.stdout_bytes};
    enum err_kind rc = add_fstring(in, t, &text, e);
    *out = VALUE(STRING, .count = text.bytes, .text = text.bytes ? text.at : "");
    return rc;
}

/* ---- operators ----------------------------------------------------------------------------- */

static enum err_kind evaluate_binary(struct interp *in, const struct tree *t, struct value *out,
                                     struct err *e)
{
    struct value a, b;
    enum err_kind rc = evaluate(in, t->a, &a, e);
    if (!rc)
        rc = evaluate(in, t->b, &b, e);
    if (!rc)
        rc = count_call(in, e);
    return rc ? rc : operate(in, t->op, &a, &b, out, e);
}

static enum err_kind evaluate_unary(struct interp *in, const struct tree *t, struct value *out,
                                    struct err *e)
{
    struct value a;
    enum err_kind rc = evaluate(in, t->a, &a, e);
    if (!rc)
        rc = count_call(in, e);
    return rc ? rc : operate_unary(in, t->op, &a, out, e);
}

/* a < b < c is a < b and b < c, with b evaluated once. */
static enum err_kind evaluate_compare(struct interp *in, const struct tree *t, struct value *out,
                                      struct err *e)
{
    struct value left, right;
    bool holds = true;
    enum err_kind rc = evaluate(in, t->a, &left, e);
    for (const struct tree *item = t->items; !rc && holds && item; item = item->next) {
        rc = evaluate(in, item->b, &right, e);
        if (!rc)
            rc = count_call(in, e);
        if (!rc)
            rc = operate(in, item->op, &left, &right, out, e);
        if (!rc && item->next)
            rc = value_truth(in, out, &holds, e);
        left = right;
    }
    return rc;
}

/* a and b, a or b: the value that decides. */
static enum err_kind evaluate_logic(struct interp *in, const struct tree *t, struct value *out,
                                    struct err *e)
{
    bool truth;
    enum err_kind rc = evaluate(in, t->a, out, e);
    if (!rc)
        rc = value_truth(in, out, &truth, e);
    if (!rc && truth == (t->kind == TREE_AND))
        rc = evaluate(in, t->b, out, e);
    return rc;
}

static enum err_kind evaluate_not(struct interp *in, const struct tree *t, struct value *out,
                                  struct err *e)
{
    struct value a;
    bool truth;
    enum err_kind rc = evaluate(in, t->a, &a, e);
    if (!rc)
        rc = value_truth(in, &a, &truth, e);
    *out = VALUE(BOOL, .boolean = !rc && !truth);
    return rc;
}

static enum err_kind evaluate_conditional(struct interp *in, const struct tree *t,
                                          struct value *out, struct err *e)
{
    struct value condition;
    bool truth;
    enum err_kind rc = evaluate(in, t->b, &condition, e);
    if (!rc)
        rc = value_truth(in, &condition, &truth, e);
    return rc ? rc : evaluate(in, truth ? t->a : t->c, out, e);
}

static enum err_kind evaluate_index(struct interp *in, const struct tree *t, struct value *out,
                                    struct err *e)
{
    struct value of, index;
    enum err_kind rc = evaluate(in, t->a, &of, e);
    if (!rc)
        rc = evaluate(in, t->b, &index, e);
    if (!rc)
        rc = count_call(in, e);
    return rc ? rc : subscript_get(in, &of, &index, out, e);
}

/* A bound of a slice: an integer, also that of a 0-d tensor. */
static enum err_kind evaluate_bound(struct interp *in, const struct tree *t, struct value *out,
                                    struct err *e)
{
    *out = NO_VALUE;
    enum err_kind rc = t ? evaluate(in, t, out, e) : ERR_OK;
    if (!rc && out->kind == VALUE_TENSOR && out->tensor->dtype == DTYPE_INT64)
        rc = tensor_item(in, out->tensor, out, e);
    if (!rc && out->kind == VALUE_BOOL)
        *out = VALUE(INT, .integer = out->boolean);
    if (!rc && out->kind != VALUE_INT && out->kind != VALUE_NONE)
        rc = err_set(e, ERR_INVALID, "",
                     "slice indices must be integers or None or have an __index__ method");
    return rc;
}

static enum err_kind evaluate_slice(struct interp *in, const struct tree *t, struct value *out,
                                    struct err *e)
{
    struct value part[3];
    enum err_kind rc = evaluate_bound(in, t->a, &part[0], e);
    if (!rc)
        rc = evaluate_bound(in, t->b, &part[1], e);
    if (!rc)
        rc = evaluate_bound(in, t->c, &part[2], e);
    return rc ? rc : value_list(in, VALUE_SLICE, part, 3, out, e);
}

/* ---- all ----------------------------------------------------------------------------------- */

static enum err_kind evaluate_kind(struct interp *in, const struct tree *t, struct value *out,
                                   struct err *e)
{
    switch ((int)t->kind) {
    case TREE_TRUE:
    case TREE_FALSE:
        *out = VALUE(BOOL, .boolean = t->kind == TREE_TRUE);
        return ERR_OK;
    case TREE_ELLIPSIS:
        *out = VALUE(ELLIPSIS, .count = 0);
        return ERR_OK;
    case TREE_INT:
        *out = VALUE(INT, .integer = t->integer);
        return ERR_OK;
    case TREE_FLOAT:
        *out = VALUE(FLOAT, .number = t->number);
        return ERR_OK;
    case TREE_STRING:
        *out = VALUE(STRING, .count = t->bytes, .text = t->text);
        return ERR_OK;
    case TREE_FSTRING:
        return evaluate_fstring(in, t, out, e);
    case TREE_NAME:
        return evaluate_name(in, t, out, e);
    case TREE_TUPLE:
    case TREE_LIST:
        return evaluate_items(in, t, out, e);
    case TREE_UNARY:
        return evaluate_unary(in, t, out, e);
    case TREE_BINARY:
        return evaluate_binary(in, t, out, e);
    case TREE_COMPARE:
        return evaluate_compare(in, t, out, e);
    case TREE_AND:
    case TREE_OR:
        return evaluate_logic(in, t, out, e);
    case TREE_NOT:
        return evaluate_not(in, t, out, e);
    case TREE_CONDITIONAL:
        return evaluate_conditional(in, t, out, e);
    case TREE_ATTRIBUTE:
        return evaluate_attribute(in, t, out, e);
    case TREE_CALL:
        return evaluate_call(in, t, out, e);
    case TREE_INDEX:
        return evaluate_index(in, t, out, e);
    case TREE_SLICE:
        return evaluate_slice(in, t, out, e);
    default: /* None */
        *out = NO_VALUE;
        return ERR_OK;
    }
}

/* The innermost expression that fails is where the error is. */
enum err_kind evaluate(struct interp *in, const struct tree *t, struct value *out, struct err *e)
{
    enum err_kind rc = evaluate_kind(in, t, out, e);
    if (rc && in->where.line == 0)
        in->where = t->place;
    return rc;
}
