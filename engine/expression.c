#include "engine/expression.h"

#include <string.h>

#include "engine/interp.h"

#define INPUT    "x"
#define WORK_MAX 1e12 /* multiplications of one forward: some tens of seconds */

static const struct interp_limits limits = {.calls = 10000};

/* ---- what a program may read --------------------------------------------------------------- */

/* Names that have a value. */
struct known {
    const struct known *older;
    const char *name;
};

struct check {
    struct program *program; /* its arena holds the list */
    const struct known *known;
    struct place *where;
    struct err *e;
};

static enum err_kind check_tree(struct check *c, const struct tree *t);

static enum err_kind learn(struct check *c, const char *name)
{
    struct known *k = arena_alloc(&c->program->arena, sizeof *k);
    if (!k)
        return err_set(c->e, ERR_NOMEM, "", "no memory for the program's names");
    *k = (struct known){c->known, name};
    c->known = k;
    return ERR_OK;
}

static enum err_kind check_name(struct check *c, const struct tree *t)
{
    if (t->row || !strcmp(t->text, "torch"))
        return ERR_OK;
    for (const struct known *k = c->known; k; k = k->older)
        if (!strcmp(k->name, t->text))
            return ERR_OK;
    *c->where = t->place;
    return err_set(c->e, ERR_INVALID, "", "name '%.100s' is not defined", t->text);
}

static enum err_kind check_items(struct check *c, const struct tree *first)
{
    enum err_kind rc = ERR_OK;
    for (const struct tree *t = first; !rc && t; t = t->next)
        rc = check_tree(c, t);
    return rc;
}

/* A name gets a value; of x[i] and x.a the parts are read. */
static enum err_kind check_target(struct check *c, const struct tree *t)
{
    enum err_kind rc = ERR_OK;
    if (t->kind == TREE_NAME)
        return learn(c, t->text);
    if (t->kind != TREE_TUPLE && t->kind != TREE_LIST)
        return check_tree(c, t);
    for (const struct tree *item = t->items; !rc && item; item = item->next)
        rc = check_target(c, item);
    return rc;
}

/* In the order in which it runs. There are no loops and no branches around statements, so a name is
 * known exactly when a statement before gave it a value. Recursive: the parser bounds the depth. */
static enum err_kind check_tree(struct check *c, const struct tree *t)
{
    enum err_kind rc = ERR_OK;
    if (!t)
        return ERR_OK;
    if (t->kind == TREE_NAME)
        return check_name(c, t);
    if (t->kind == TREE_IMPORT)
        return learn(c, t->a->text);
    if (t->kind == TREE_ASSIGN) {
        rc = check_tree(c, t->b);
        for (const struct tree *target = t->items; !rc && target; target = target->next)
            rc = check_target(c, target);
        return rc;
    }
    rc = check_tree(c, t->a);
    if (!rc)
        rc = check_tree(c, t->b);
    if (!rc)
        rc = check_tree(c, t->c);
    return rc ? rc : check_items(c, t->items);
}

static enum err_kind check_last(const struct program *p, struct place *where, struct err *e)
{
    const struct tree *last = p->first;
    while (last && last->next)
        last = last->next;
    if (last && last->kind == TREE_EXPRESSION)
        return ERR_OK;
    *where = last ? last->place : (struct place){1, 1};
    return err_set(e, ERR_INVALID, "", "the last line must be an expression: the output");
}

enum err_kind module_bind_program(struct program *p, const struct declaration *parameter,
                                  int parameters, struct place *where, struct err *e)
{
    struct check c = {.program = p, .where = where, .e = e};
    enum err_kind rc = program_bind(p, true, where, e);
    if (!rc)
        rc = check_last(p, where, e);
    if (!rc)
        rc = learn(&c, INPUT);
    for (int i = 0; !rc && i < parameters; i++)
        rc = learn(&c, parameter[i].name);
    return rc ? rc : check_items(&c, p->first);
}

/* ---- making -------------------------------------------------------------------------------- */

static void lay_out(struct module *m, const struct declaration *d)
{
    int64_t offset = 0;
    for (int i = 0; i < m->parameters; i++) {
        struct parameter *p = &m->parameter[i];
        memcpy(p->name, d[i].name, sizeof p->name);
        tensor_wrap(&p->tensor, &m->values, m->dtype, &d[i].shape, offset);
        tensor_wrap(&p->slot, &m->gradients, m->dtype, &d[i].shape, offset);
        p->tensor.requires_grad = d[i].requires_grad;
        p->tensor.grad_slot = &p->slot;
        if (d[i].data)
            memcpy(tensor_data(&p->tensor), d[i].data,
                   (size_t)shape_count(&d[i].shape) * dtype_bytes(m->dtype));
        offset += shape_count(&d[i].shape);
    }
}

struct module *module_new_program(const struct program *p, const struct declaration *parameter,
                                  int parameters, enum dtype dtype, enum dtype input_dtype)
{
    struct module *m = mem_array(1, sizeof *m);
    if (!m)
        return NULL;
    m->dtype = dtype;
    m->input_dtype = input_dtype;
    m->program = p;
    m->parameters = parameters;
    bool fits = true;
    for (int i = 0; i < parameters; i++)
        fits =
            fits && !__builtin_add_overflow(m->count, shape_count(&parameter[i].shape), &m->count);
    m->parameter = mem_array((size_t)parameters, sizeof *m->parameter);
    m->values.data = fits ? mem_array((size_t)m->count, dtype_bytes(dtype)) : NULL;
    if (!m->parameter || !m->values.data) {
        module_free(m);
        return NULL;
    }
    lay_out(m, parameter);
    return m;
}

/* ---- running ------------------------------------------------------------------------------- */

/* In a message there is one place for both the line and the words. */
static enum err_kind say_where(const struct interp *in, struct err *e)
{
    if (e->kind == ERR_NOMEM || in->where.line == 0)
        return e->kind;
    return err_wrap(e, "line %d, column %d: ", in->where.line, in->where.column);
}

static enum err_kind set(struct interp *in, const char *name, struct tensor *t, struct err *e)
{
    if (!t)
        return err_set(e, ERR_NOMEM, "", "no memory for the program's tensors");
    return interp_set(in, name, (struct value){.kind = VALUE_TENSOR, .tensor = t}, e);
}

static enum err_kind run(struct interp *in, const struct module *m, struct tensor **y,
                         struct err *e)
{
    enum err_kind rc = interp_forward(in, m->program, y, e);
    if (rc)
        return say_where(in, e);
    if (!dtype_is_float((*y)->dtype))
        return err_set(e, ERR_INVALID, "", "the output must be of a float type, got %s",
                       dtype_name((*y)->dtype));
    return ERR_OK;
}

enum err_kind expression_forward(struct module *m, struct tape *t, struct tensor *x,
                                 struct tensor **y, struct err *e)
{
    struct interp in;
    interp_init(&in, t, 0, &limits);
    enum err_kind rc = set(&in, INPUT, x, e);
    for (int i = 0; !rc && i < m->parameters; i++)
        rc = set(&in, m->parameter[i].name, &m->parameter[i].tensor, e);
    return rc ? rc : run(&in, m, y, e);
}

/* The elements of a tensor as if no dimension were 0: what it takes to walk through it, for it may
 * have any number of rows without an element. */
static double extent(const struct shape *s)
{
    double n = 1;
    for (int d = 0; d < s->rank; d++)
        n *= s->dim[d] ? (double)s->dim[d] : 1;
    return n;
}

/* A forward without numbers, over stand-ins: others may be writing the parameters meanwhile. */
static enum err_kind rehearse(const struct module *m, struct tape *t, const struct shape *x,
                              struct module_facts *out, struct err *e)
{
    struct interp in;
    struct tensor *y;
    interp_init(&in, t, 0, &limits);
    enum err_kind rc = set(&in, INPUT, tape_tensor(t, m->input_dtype, x), e);
    for (int i = 0; !rc && i < m->parameters; i++) {
        const struct parameter *p = &m->parameter[i];
        rc = set(&in, p->name, tape_tensor(t, m->dtype, &p->tensor.shape), e);
    }
    size_t before = t->bytes;
    if (!rc)
        rc = run(&in, m, &y, e);
    if (rc)
        return rc;
    size_t bytes = t->bytes - before;
    double walk = extent(&y->shape) * (double)dtype_bytes(y->dtype);
    *out = (struct module_facts){.output = y->shape,
                                 .dtype = y->dtype,
                                 .bytes = walk > 0x1p62 ? SIZE_MAX : bytes,
                                 .work = t->work + (double)bytes / sizeof(float)};
    if (walk <= 0x1p62 && (size_t)walk > out->bytes)
        out->bytes = (size_t)walk;
    return ERR_OK;
}

enum err_kind expression_facts(const struct module *m, const struct shape *x,
                               struct module_facts *out, struct err *e)
{
    struct tape t;
    tape_init_dry(&t, kernels_best());
    t.grad_disabled = true;
    t.work_max = WORK_MAX;
    enum err_kind rc = rehearse(m, &t, x, out, e);
    tape_close(&t);
    return rc;
}
