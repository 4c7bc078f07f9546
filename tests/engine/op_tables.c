#include "tests/engine/op_tables.h"

struct tensor *numbers_make(struct lab *l, const struct numbers *n)
{
    struct tensor *t = lab_zeros(l, n->dtype, n->shape);
    for (int64_t i = 0; i < tensor_count(t); i++)
        lab_put(t, i, n->x[i]);
    return t;
}

bool numbers_equal(const struct tensor *t, const struct numbers *n)
{
    if (t->dtype != n->dtype || !shape_equal(&t->shape, &n->shape))
        return false;
    for (int64_t i = 0; i < tensor_count(t); i++)
        if (!lab_same(lab_get(t, i), n->x[i]))
            return false;
    return true;
}

void assert_values(const struct value *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < isa_labs; k++) {
            struct lab *l = &isa_lab[k];
            const struct value *v = &values[i];
            lab_clear(l);
            struct tensor *y = lab_apply(l, v->id, &v->args, numbers_make(l, &v->in), NULL, NULL);
            if (!numbers_equal(y, &v->out))
                fail_msg("value %d, of %s: %g", (int)i, l->tape.kernels->ops[v->id].name,
                         tensor_count(y) ? lab_get(y, 0) : NAN);
        }
}

void assert_refused(const struct misfit *misfits, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < isa_labs; k++) {
            struct lab *l = &isa_lab[k];
            const struct misfit *m = &misfits[i];
            lab_clear(l);
            struct tensor *x = lab_zeros(l, m->dtype, m->shape), *y = NULL;
            enum err_kind rc = op_apply(&l->tape, m->id, &m->args, &x, &y, &l->e);
            if (rc != ERR_INVALID || !strstr(l->e.message, m->words))
                fail_msg("misfit %d: %s", (int)i, rc ? l->e.message : "taken");
        }
}
