/* engine/attributes.c - x.name, and x.name = value. */
#include <stdio.h>
#include <string.h>

#include "engine/call_parts.h"

/* ---- tensors ------------------------------------------------------------------------------- */

typedef enum err_kind attribute_fn(struct interp *in, const struct value *x, struct value *out,
                                   struct err *e);

static const char no_leaf[] =
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
    "attribute won't be populated during autograd.backward(). If you indeed want the .grad field "
    "to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you "
    "access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead. See "
    "github.com/pytorch/pytorch/pull/30531 for more informations.";

static enum err_kind get_grad(struct interp *in, const struct value *x, struct value *out,
                              struct err *e)
{
    struct tensor *t = x->tensor;
    enum err_kind rc = tape_refresh(in->tape, t, e);
    *out = t->grad ? VALUE(TENSOR, .tensor = t->grad) : NO_VALUE;
    if (rc || t->grad || !t->grad_fn || t->retains_grad)
        return rc;
    return interp_warn(in, "UserWarning", e, "%s", no_leaf);
}

static enum err_kind get_grad_fn(struct interp *in, const struct value *x, struct value *out,
                                 struct err *e)
{
    enum err_kind rc = tape_refresh(in->tape, x->tensor, e);
    *out = x->tensor->grad_fn ? VALUE(NODE, .node = x->tensor->grad_fn) : NO_VALUE;
    return rc;
}

static enum err_kind get_requires_grad(struct interp *in, const struct value *x, struct value *out,
                                       struct err *e)
{
    (void)in, (void)e;
    *out = VALUE(BOOL, .boolean = tensor_requires_grad(x->tensor));
    return ERR_OK;
}

static enum err_kind get_is_leaf(struct interp *in, const struct value *x, struct value *out,
                                 struct err *e)
{
    enum err_kind rc = tape_refresh(in->tape, x->tensor, e);
    *out = VALUE(BOOL, .boolean = !x->tensor->grad_fn);
    return rc;
}

static enum err_kind get_retains_grad(struct interp *in, const struct value *x, struct value *out,
                                      struct err *e)
{
    (void)in, (void)e;
    *out = VALUE(BOOL, .boolean = x->tensor->retains_grad);
    return ERR_OK;
}

static enum err_kind get_shape(struct interp *in, const struct value *x, struct value *out,
                               struct err *e)
{
    return size_value(in, &x->tensor->shape, out, e);
}

static enum err_kind get_dtype(struct interp *in, const struct value *x, struct value *out,
                               struct err *e)
{
    (void)in, (void)e;
    *out = VALUE(DTYPE, .dtype = x->tensor->dtype);
    return ERR_OK;
}

static enum err_kind get_ndim(struct interp *in, const struct value *x, struct value *out,
                              struct err *e)
{
    (void)in, (void)e;
    *out = VALUE(INT, .integer = x->tensor->shape.rank);
    return ERR_OK;
}

static enum err_kind get_version(struct interp *in, const struct value *x, struct value *out,
                                 struct err *e)
{
    (void)in, (void)e;
    *out = VALUE(INT, .integer = (int64_t)x->tensor->storage->version);
    return ERR_OK;
}

/* The same numbers without history, and with a version of their own. */
static enum err_kind get_data(struct interp *in, const struct value *x, struct value *out,
                              struct err *e)
{
    struct tensor *t = tape_alias(in->tape, x->tensor);
    struct storage *storage;
    enum err_kind rc = interp_alloc(in, 1, sizeof *storage, &storage, e);
    if (!rc && !t)
        rc = err_set(e, ERR_NOMEM, "", "no memory for a tensor");
    if (rc)
        return rc;
    *storage = (struct storage){.data = t->storage->data, .bytes = t->storage->bytes};
    t->storage = storage;
    *out = VALUE(TENSOR, .tensor = t);
    return ERR_OK;
}

static enum err_kind get_device(struct interp *in, const struct value *x, struct value *out,
                                struct err *e)
{
    (void)x;
    return interp_string(in, "cpu", 3, out, e);
}

static const struct {
    const char *name;
    attribute_fn *get;
    bool history; /* not to be seen in a model's forward */
} tensor_attributes[] = {
    {"grad", get_grad, true},
    {"grad_fn", get_grad_fn, true},
    {"requires_grad", get_requires_grad, true},
    {"is_leaf", get_is_leaf, true},
    {"retains_grad", get_retains_grad, true},
    {"shape", get_shape, false},
    {"dtype", get_dtype, false},
    {"ndim", get_ndim, false},
    {"_version", get_version, true},
    {"data", get_data, true},
    {"device", get_device, false},
};
#define TENSOR_ATTRIBUTES (sizeof tensor_attributes / sizeof *tensor_attributes)

/* ---- nodes --------------------------------------------------------------------------------- */

/* ((node, 0), …): where the gradient of each input goes, of one that is left out too. */
static enum err_kind get_next_functions(struct interp *in, const struct value *x, struct value *out,
                                        struct err *e)
{
    const struct node *n = x->node;
    struct value *pair;
    int named = n->leaf ? 0 : op_arity(n->call.op);
    int inputs = n->call.inputs > named ? n->call.inputs : named;
    enum err_kind rc = interp_alloc(in, (size_t)inputs, sizeof *pair, &pair, e);
    size_t count = 0;
    for (int i = 0; !rc && i < inputs; i++) {
        struct node *next = i < n->call.inputs ? n->next[i] : NULL;
        bool shown = next || !(n->call.op->flags & NO_DERIVATIVE);
        if (!op_has_edge(n->call.op, i) || !shown)
            continue;
        struct value edge[] = {next ? VALUE(NODE, .node = next) : NO_VALUE,
                               VALUE(INT, .integer = 0)};
        rc = value_list(in, VALUE_TUPLE, edge, 2, &pair[count++], e);
    }
    return rc ? rc : value_list(in, VALUE_TUPLE, pair, count, out, e);
}

/* "_saved_self": what backward will read; of what is given up, PyTorch's error. */
static enum err_kind get_saved(struct interp *in, const struct node *n, const char *name,
                               struct value *out, struct err *e)
{
    const struct tensor *found = NULL;
    bool known = false;
    *out = NO_VALUE;
    for (int i = 0; i < n->call.inputs; i++) {
        int bytes;
        const char *input = op_input_name(n->call.op, i, &bytes);
        if (strlen(name) == (size_t)bytes && !memcmp(name, input, (size_t)bytes)) {
            known = true;
            found = n->saved[i].storage ? n->input[i] : NULL;
        }
    }
    if (!strcmp(name, "result") && n->call.out) {
        known = true;
        found = n->call.out;
    }
    if (!known)
        return err_set(e, ERR_INVALID, "", "'%s' object has no attribute '_saved_%.60s'",
                       n->call.op->node, name);
    if (found && n->spent)
        return tape_given_up(e);
    if (!found)
        return ERR_OK;
    struct tensor *copy; /* another object, as what PyTorch unpacks is */
    enum err_kind rc = interp_alloc(in, 1, sizeof *copy, &copy, e);
    if (rc)
        return rc;
    *copy = *found;
    *out = VALUE(TENSOR, .tensor = copy);
    return ERR_OK;
}

static enum err_kind node_attribute(struct interp *in, const struct value *x, const char *name,
                                    struct value *out, struct err *e)
{
    if (!strcmp(name, "next_functions"))
        return get_next_functions(in, x, out, e);
    if (!strcmp(name, "variable") && x->node->leaf) {
        *out = VALUE(TENSOR, .tensor = x->node->leaf);
        return ERR_OK;
    }
    if (!x->node->leaf && !x->node->part && !strncmp(name, "_saved_", 7))
        return get_saved(in, x->node, name + 7, out, e);
    return err_set(e, ERR_INVALID, "", "'%s' object has no attribute '%.60s'", node_class(x->node),
                   name);
}

/* ---- all ----------------------------------------------------------------------------------- */

/* A method of x, or a property that is an operation (x.T). found false: there is none. */
static enum err_kind get_method(struct interp *in, const char *prefix, const struct value *x,
                                const char *name, struct value *out, bool *found, struct err *e)
{
    char full[128];
    bool in_place;
    struct value *self;
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const struct builtin *row = builtin_find(full, &in_place);
    *found = row != NULL;
    if (!row)
        return ERR_OK;
    if (row->flags & BUILTIN_PROPERTY) {
        struct call_values values = {.value = x, .count = 1, .method = true};
        return builtin_call(in, row, false, &values, out, e);
    }
    enum err_kind rc = interp_alloc(in, 1, sizeof *self, &self, e);
    if (rc)
        return rc;
    *self = *x;
    *out = VALUE(BUILTIN, .count = in_place, .builtin = row, .item = self, .names = name);
    return ERR_OK;
}

static enum err_kind module_attribute(struct interp *in, const struct value *x, const char *name,
                                      struct value *out, struct err *e)
{
    char full[160];
    bool in_place;
    snprintf(full, sizeof full, "%s.%s", x->text, name);
    if (builtin_is_module(full)) {
        enum err_kind rc = interp_string(in, full, strlen(full), out, e);
        out->kind = VALUE_MODULE;
        return rc;
    }
    const struct builtin *row = builtin_find(full, &in_place);
    if (!row)
        return err_set(e, ERR_INVALID, "", "module '%s' has no attribute '%.60s'", x->text, name);
    if (row->flags & BUILTIN_PROPERTY)
        return builtin_call(in, row, false, &(struct call_values){.count = 0}, out, e);
    *out = VALUE(BUILTIN, .count = in_place, .builtin = row, .names = name);
    return ERR_OK;
}

/* values, indices of what torch.max(x, 0) gives. */
static bool named_item(const struct value *x, const char *name, struct value *out)
{
    const char *at = x->names ? strchr(x->names, ' ') : NULL;
    for (size_t i = 0; at; i++, at = strchr(at, ' ')) {
        size_t n = strcspn(++at, " ");
        if (strlen(name) == n && !memcmp(at, name, n)) {
            *out = x->item[i];
            return true;
        }
    }
    return false;
}

static const char *prefix_of(const struct value *x)
{
    switch ((int)x->kind) {
    case VALUE_TENSOR:
        return "Tensor.";
    case VALUE_NODE:
        return "Node.";
    case VALUE_SIZE:
        return "Size.";
    default:
        return NULL;
    }
}

static enum err_kind tensor_attribute(struct interp *in, const struct value *x, const char *name,
                                      struct value *out, bool *found, struct err *e)
{
    size_t i = 0;
    while (i < TENSOR_ATTRIBUTES && strcmp(tensor_attributes[i].name, name) != 0)
        i++;
    *found = i < TENSOR_ATTRIBUTES;
    if (*found && in->pure && tensor_attributes[i].history)
        return err_set(e, ERR_INVALID, "", "'.%s' is not possible in a model's forward", name);
    return *found ? tensor_attributes[i].get(in, x, out, e) : ERR_OK;
}

enum err_kind attribute_get(struct interp *in, const struct value *x, const char *name,
                            struct value *out, struct err *e)
{
    bool found = false;
    enum err_kind rc = ERR_OK;
    if (x->kind == VALUE_MODULE)
        return module_attribute(in, x, name, out, e);
    if (named_item(x, name, out))
        return ERR_OK;
    if (x->kind == VALUE_TENSOR)
        rc = tensor_attribute(in, x, name, out, &found, e);
    if (!rc && !found && prefix_of(x))
        rc = get_method(in, prefix_of(x), x, name, out, &found, e);
    if (rc || found)
        return rc;
    if (x->kind == VALUE_NODE)
        return node_attribute(in, x, name, out, e);
    return err_set(e, ERR_INVALID, "", "'%s' object has no attribute '%.60s'", value_type_name(x),
                   name);
}

/* ---- setting ------------------------------------------------------------------------------- */

static enum err_kind set_grad(struct tensor *x, const struct value *value, struct err *e)
{
    if (value->kind == VALUE_NONE) {
        x->grad = NULL;
        return ERR_OK;
    }
    if (value->kind != VALUE_TENSOR)
        return err_set(e, ERR_INVALID, "",
                       "assigned grad expected to be a Tensor or None but got grad of type %s",
                       value_type_name(value));
    const struct tensor *g = value->tensor;
    if (g == x)
        return err_set(e, ERR_INVALID, "", "can't assign Variable as its own grad");
    if (!shape_equal(&g->shape, &x->shape))
        return err_set(e, ERR_INVALID, "", "assigned grad has data of a different size");
    if (g->dtype != x->dtype)
        return err_set(e, ERR_INVALID, "", "assigned grad has data of a different type");
    x->grad = value->tensor;
    return ERR_OK;
}

static enum err_kind set_requires_grad(struct tensor *x, const struct value *value, struct err *e)
{
    if (value->kind != VALUE_BOOL)
        return err_set(e, ERR_INVALID, "", "requires_grad must be a bool");
    if (x->grad_fn && !value->boolean)
        return err_set(e, ERR_INVALID, "",
                       "you can only change requires_grad flags of leaf variables. If you want to "
                       "use a computed variable in a subgraph that doesn't require differentiation "
                       "use var_no_grad = var.detach().");
    if (value->boolean && !dtype_is_float(x->dtype))
        return err_set(e, ERR_INVALID, "",
                       "only Tensors of floating point dtype can require gradients");
    x->requires_grad = value->boolean;
    return ERR_OK;
}

/* x.data = y: x has y's numbers from now on, and no history of it. Of another shape they would not
 * fit the gradients that what was made of x will send. */
static enum err_kind set_data(struct interp *in, struct tensor *x, const struct value *value,
                              struct err *e)
{
    char ty[SHAPE_TEXT_BYTES], tx[SHAPE_TEXT_BYTES];
    if (value->kind != VALUE_TENSOR)
        return err_set(e, ERR_INVALID, "", "Variable data has to be a tensor, but got %s",
                       value_type_name(value));
    const struct tensor *y = value->tensor;
    if (y->dtype != x->dtype)
        return err_set(e, ERR_INVALID, "",
                       "Attempted to call `variable.set_data(tensor)`, but `variable` and `tensor` "
                       "have incompatible tensor type.");
    if (!shape_equal(&y->shape, &x->shape))
        return err_set(e, ERR_INVALID, "", ".data of shape %s cannot become %s here",
                       shape_text(&x->shape, tx, sizeof tx), shape_text(&y->shape, ty, sizeof ty));
    struct tensor *copy = tape_tensor(in->tape, x->dtype, &x->shape);
    if (!copy)
        return err_set(e, ERR_NOMEM, "", "no memory for a tensor");
    if (!in->tape->dry)
        tensor_copy(copy, y);
    copy->storage->version = x->storage->version;
    x->storage = copy->storage;
    x->offset = 0;
    memcpy(x->stride, copy->stride, sizeof x->stride);
    return ERR_OK;
}

enum err_kind attribute_set(struct interp *in, const struct value *x, const char *name,
                            const struct value *value, struct err *e)
{
    if (in->pure)
        return err_set(e, ERR_INVALID, "", "a model's forward changes nothing in place");
    if (x->kind == VALUE_TENSOR && !strcmp(name, "grad"))
        return set_grad(x->tensor, value, e);
    if (x->kind == VALUE_TENSOR && !strcmp(name, "requires_grad"))
        return set_requires_grad(x->tensor, value, e);
    if (x->kind == VALUE_TENSOR && !strcmp(name, "data"))
        return set_data(in, x->tensor, value, e);
    return err_set(e, ERR_INVALID, "", "the attribute '%.60s' of a '%s' cannot be set", name,
                   value_type_name(x));
}
