/* tests/engine/nets.h - layers, losses and modules in few words. */
#ifndef TESTS_NETS_H
#define TESTS_NETS_H

#include "engine/optim.h"
#include "engine/train.h"
#include "tests/engine/lab.h"

/* A row of the layers' or the losses' table, with the defaults of its options. */
struct layer net_layer(const char *type);
struct layer net_linear(double in, double out, bool bias);
struct loss net_loss(const char *type);

/* A module of these layers with the parameters of that seed; fails the test if they do not fit. */
struct module *net_new(const struct layer *layer, int layers, enum dtype dtype, uint64_t seed);

/* A module with its optimizer: two layers, whose parameters have 6, 2, 4 and 2 elements. */
#define NET_COUNT 14
struct net {
    struct module *m;
    struct sgd sgd;
};
struct net net_open(enum dtype dtype);
void net_close(struct net *n);
/* Draws the gradients of the parameters whose bit in `which` is set; the others have none. */
void net_draw_gradients(struct net *n, struct lab *l, unsigned which, double scale);
/* The i-th combination of all options; false: it is not allowed. */
#define NET_OPTIONS 32
bool net_options(int i, struct sgd_options *o);
enum err_kind net_step(struct net *n, const struct kernels *k, bool finite, struct err *e);

#endif
