/* engine/call_autograd.c - backward, grad, detach, the grad modes. */
#include <string.h>

#include "engine/call_parts.h"

static enum err_kind refuse_double(const struct args *a, struct err *e)
{
    const struct value *create_graph = argument(a, "create_graph");
    if (create_graph->kind != VALUE_BOOL || !create_graph->boolean)
        return ERR_OK;
    return err_set(e, ERR_INVALID, "",
                   "create_graph=True is not supported: there is no backward through a backward");
}

static bool is_true(const struct value *x)
{
    return x->kind == VALUE_BOOL && x->boolean;
}

/* A list of tensors, or one: their number, and the first. */
static enum err_kind tensors_of(const struct value *x, const char *what, const struct value **item,
                                size_t *count, struct err *e)
{
    *item = value_is_list(x) ? x->item : x;
    *count = value_is_list(x) ? x->count : 1;
    for (size_t i = 0; i < *count; i++)
        if ((*item)[i].kind != VALUE_TENSOR)
            return err_set(e, ERR_INVALID, "", "%s must be a tensor or a list of tensors, not %s",
                           what, value_type_name(&(*item)[i]));
    return ERR_OK;
}

/* Upstream gradients belong to the roots one by one; None, or none at all: 1 for a scalar. */
static enum err_kind gradient_of(const struct value *gradients, size_t i, size_t roots,
                                 struct tensor **out, struct err *e)
{
    *out = NULL;
    if (gradients->kind == VALUE_NONE)
        return ERR_OK;
    const struct value *item = value_is_list(gradients) ? gradients->item : gradients;
    size_t count = value_is_list(gradients) ? gradients->count : 1;
    if (count != roots)
        return err_set(e, ERR_INVALID, "", "got %zu tensors and %zu gradients", roots, count);
    if (item[i].kind == VALUE_NONE)
        return ERR_OK;
    if (item[i].kind != VALUE_TENSOR)
        return err_set(e, ERR_INVALID, "", "gradients can be either Tensors or None, but got %s",
                       value_type_name(&item[i]));
    *out = item[i].tensor;
    return ERR_OK;
}

/* loss.backward(…), torch.autograd.backward(tensors, …). The roots go one after the other: where
 * they share a part of the graph, it has to be retained until the last one. */
enum err_kind call_backward(struct args *a, struct value *out, struct err *e)
{
    const struct value *root;
    size_t roots;
    enum err_kind rc = refuse_double(a, e);
    if (!rc)
        rc = tensors_of(&a->value[0], "tensors", &root, &roots, e);
    for (size_t i = 0; !rc && i < roots; i++) {
        struct tensor *gradient;
        bool retain = is_true(argument(a, "retain_graph")) || i + 1 < roots;
        rc = gradient_of(&a->value[1], i, roots, &gradient, e);
        if (!rc)
            rc = tape_backward(a->in->tape, root[i].tensor, gradient, retain, e);
    }
    *out = NO_VALUE;
    return rc;
}

static enum err_kind unused(struct err *e)
{
    return err_set(e, ERR_INVALID, "",
                   "One of the differentiated Tensors appears to not have been used in the graph. "
                   "Set allow_unused=True if this is the desired behavior.");
}

/* torch.autograd.grad(outputs, inputs, …): a tuple, one gradient an input. */
enum err_kind call_autograd_grad(struct args *a, struct value *out, struct err *e)
{
    const struct value *root, *x;
    size_t roots, count;
    struct tensor **wanted, **found, *gradient;
    struct value *item;
    enum err_kind rc = refuse_double(a, e);
    if (!rc)
        rc = tensors_of(&a->value[0], "outputs", &root, &roots, e);
    if (!rc && roots != 1)
        rc = err_set(e, ERR_INVALID, "", "torch.autograd.grad takes one output here, got %zu",
                     roots);
    if (!rc)
        rc = tensors_of(&a->value[1], "inputs", &x, &count, e);
    if (!rc)
        rc = gradient_of(argument(a, "grad_outputs"), 0, 1, &gradient, e);
    if (!rc)
        rc = interp_alloc(a->in, count, sizeof *wanted, &wanted, e);
    if (!rc)
        rc = interp_alloc(a->in, count, sizeof *found, &found, e);
    if (!rc)
        rc = interp_alloc(a->in, count, sizeof *item, &item, e);
    for (size_t i = 0; !rc && i < count; i++)
        wanted[i] = x[i].tensor;
    if (!rc)
        rc = tape_grad(a->in->tape, root->tensor, gradient, is_true(argument(a, "retain_graph")),
                       wanted, (int)count, found, e);
    for (size_t i = 0; !rc && i < count; i++) {
        if (!found[i] && !is_true(argument(a, "allow_unused")))
            return unused(e);
        item[i] = found[i] ? VALUE(TENSOR, .tensor = found[i]) : NO_VALUE;
    }
    return rc ? rc : value_list(a->in, VALUE_TUPLE, item, count, out, e);
}

/* The same numbers, without history. In place: x itself becomes a leaf. */
enum err_kind call_detach(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor;
    if (a->in_place && x->base)
        return err_set(e, ERR_INVALID, "", "Can't detach views in-place. Use detach() instead.");
    if (a->in_place) {
        x->grad_fn = NULL;
        x->requires_grad = false;
        return give(x, out);
    }
    struct tensor *y = tape_alias(a->in->tape, x);
    return y ? give(y, out) : err_set(e, ERR_NOMEM, "", "no memory for a tensor");
}

enum err_kind call_requires_grad_(struct args *a, struct value *out, struct err *e)
{
    *out = a->value[0];
    return attribute_set(a->in, &a->value[0], "requires_grad", &a->value[1], e);
}

enum err_kind call_retain_grad(struct args *a, struct value *out, struct err *e)
{
    struct tensor *x = a->value[0].tensor;
    enum err_kind rc = tape_refresh(a->in->tape, x, e);
    if (rc)
        return rc;
    if (!x->requires_grad)
        return err_set(e, ERR_INVALID, "",
                       "can't retain_grad on Tensor that has requires_grad=False");
    tape_retain_grad(x);
    *out = NO_VALUE;
    return ERR_OK;
}

/* torch.no_grad(), torch.enable_grad(), torch.inference_mode(): for `with`. */
enum err_kind call_grad_mode(struct args *a, struct value *out, struct err *e)
{
    int bytes;
    (void)e;
    *out = VALUE(GUARD, .integer = builtin_short_name(a->row, &bytes)[0] == 'e');
    return ERR_OK;
}

/* Takes effect at once, and serves `with` too. */
enum err_kind call_set_grad_enabled(struct args *a, struct value *out, struct err *e)
{
    (void)e;
    *out =
        VALUE(GUARD, .count = a->in->tape->grad_disabled ? GUARD_WAS_DISABLED : GUARD_WAS_ENABLED,
              .integer = a->value[0].boolean);
    a->in->tape->grad_disabled = !a->value[0].boolean;
    return ERR_OK;
}

enum err_kind call_is_grad_enabled(struct args *a, struct value *out, struct err *e)
{
    (void)e;
    *out = VALUE(BOOL, .boolean = !a->in->tape->grad_disabled);
    return ERR_OK;
}

/* grad_fn.name() */
enum err_kind call_node_name(struct args *a, struct value *out, struct err *e)
{
    const char *name = node_name(a->value[0].node);
    return interp_string(a->in, name, strlen(name), out, e);
}
