#include "tests/engine/nets.h"

static void set_defaults(const struct options *o, double value[OPTIONS_MAX])
{
    for (int i = 0; o->option[i].kind != OPTION_NONE; i++)
        value[i] = o->option[i].fallback;
}

struct layer net_layer(const char *type)
{
    struct layer l = {.type = layer_find(type)};
    assert_non_null(l.type);
    set_defaults(&l.type->options, l.value);
    return l;
}

struct layer net_linear(double in, double out, bool bias)
{
    return (struct layer){.type = layer_find("linear"), .value = {in, out, bias}};
}

struct loss net_loss(const char *type)
{
    struct loss l = {.type = loss_find(type)};
    assert_non_null(l.type);
    set_defaults(&l.type->options, l.value);
    return l;
}

struct module *net_new(const struct layer *layer, int layers, enum dtype dtype, uint64_t seed)
{
    struct err e;
    struct rng rng;
    if (module_check(layer, layers, dtype, SIZE_MAX, &e) != ERR_OK)
        fail_msg("%s %s", e.pointer, e.message);
    struct module *m = module_new(layer, layers, dtype);
    assert_non_null(m);
    rng_seed(&rng, seed);
    module_reset(m, &rng);
    return m;
}

struct net net_open(enum dtype dtype)
{
    struct err e;
    struct layer layer[] = {net_linear(3, 2, true), net_linear(2, 2, true)};
    struct net n = {.m = net_new(layer, 2, dtype, 7)};
    assert_int_equal(n.m->count, NET_COUNT);
    assert_int_equal(module_need_gradients(n.m, &e), ERR_OK);
    assert_int_equal(sgd_init(&n.sgd, n.m, &e), ERR_OK);
    return n;
}

void net_close(struct net *n)
{
    sgd_close(&n->sgd);
    module_free(n->m);
}

void net_draw_gradients(struct net *n, struct lab *l, unsigned which, double scale)
{
    for (int i = 0; i < n->m->parameters; i++) {
        struct parameter *p = &n->m->parameter[i];
        p->tensor.grad = which >> i & 1 ? &p->slot : NULL;
        for (int64_t j = 0; p->tensor.grad && j < tensor_count(&p->slot); j++)
            lab_put(&p->slot, j, scale * lab_draw(l));
    }
}

bool net_options(int i, struct sgd_options *o)
{
    static const double momenta[] = {0, 0.9}, dampenings[] = {0, 0.3}, decays[] = {0, 0.01};
    struct err ignored;
    double value[OPTIONS_MAX] = {[SGD_LR] = 0.1,
                                 [SGD_MOMENTUM] = momenta[i & 1],
                                 [SGD_DAMPENING] = dampenings[i >> 1 & 1],
                                 [SGD_WEIGHT_DECAY] = decays[i >> 2 & 1],
                                 [SGD_NESTEROV] = i >> 3 & 1,
                                 [SGD_MAXIMIZE] = i >> 4 & 1};
    return sgd_set(o, value, &ignored) == ERR_OK;
}

enum err_kind net_step(struct net *n, const struct kernels *k, bool finite, struct err *e)
{
    return sgd_step(&n->sgd, n->m, k, NULL, finite, module_gradient_norm(n->m, k), NULL, e);
}
