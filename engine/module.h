/* engine/module.h - layers in sequence, torch.nn.Sequential, or a program over parameters.
 *
 * Parameters are one contiguous block in state_dict order ("0.weight", "0.bias", "2.weight", …),
 * and so are their gradients; each parameter is a tensor that views its part. So the update,
 * zero_grad, the gradient norm and a checkpoint are each one pass over one block. Within its part
 * the weight of a linear layer, of shape [out, in], lies by columns.
 *
 * Threads: a module is changed by one thread at a time; forward under no_grad only reads, and may
 *          run on other threads, each with its own tape, while the parameters are not written.
 */
#ifndef ENGINE_MODULE_H
#define ENGINE_MODULE_H

#include "engine/options.h"
#include "engine/rng.h"
#include "engine/tape.h"

#define PARAMETER_NAME_BYTES 64

struct place;
struct program;

/* A layer as its maker describes it: a row of layer_types and the values of its options. */
struct layer {
    const struct layer_type *type;
    double value[OPTIONS_MAX];
};

/* A large gradient that was used without having been written, and is made when somebody asks: the
 * product that it is, and what that is made of. */
struct deferred {
    struct matmul_args product; /* c is the slot */
    void *room;                 /* owned: a and b */
    double squares;             /* the sum of its squares, as the update has found it */
};

struct parameter {
    char name[PARAMETER_NAME_BYTES]; /* as state_dict names it */
    struct tensor tensor;            /* requires_grad false: frozen */
    struct tensor slot;              /* where its gradient lies */
    struct deferred *deferred;       /* owned: it does not lie there yet; NULL: it does */
};

struct module {
    enum dtype dtype;       /* of the parameters and their gradients */
    enum dtype input_dtype; /* of the inputs */
    struct layer *layer;
    int layers;
    const struct program *program; /* what computes the output in place of layers, or NULL; not
                                      the module's own */
    struct parameter *parameter;   /* in state_dict order */
    int parameters;
    int64_t count;            /* elements of all parameters */
    struct storage values;    /* the block of parameters */
    struct storage gradients; /* the block of gradients; data NULL until the first is needed */
};

/* The layers there are, by PyTorch's module names in snake_case; a NULL type name ends them. */
struct layer_type {
    struct options options;
    /* Writes the shapes of its parameters and their short names; returns how many (0 to 2). */
    int (*parameters)(const struct layer *l, struct shape shape[2], const char *name[2]);
    /* The shape of the output; x is batched: dimension 0 counts the rows.
     *   errors INVALID, in PyTorch's words */
    enum err_kind (*shape)(const struct layer *l, const struct shape *x, struct shape *y,
                           struct err *e);
    enum err_kind (*forward)(const struct layer *l, struct parameter *p, struct tape *t,
                             struct tensor *x, struct tensor **y, struct err *e);
};
extern const struct layer_type layer_types[];
/* NULL: there is no such layer. */
const struct layer_type *layer_find(const char *type);
/* Is the first of the layers from l on linear, and the next one ReLU? */
bool layer_ends_in_relu(const struct layer *l, int layers);
/* The forward of both, of a matrix in one pass; p is l's parameters. */
MUST_USE enum err_kind layer_forward_relu(const struct layer *l, struct parameter *p,
                                          struct tape *t, struct tensor *x, struct tensor **y,
                                          struct err *e);

/* Checks that the layers fit each other and how many parameters they have, before anything is
 * allocated.
 *   errors INVALID, pointer "/2/in_features" (relative to the list of layers), or no layers,
 *          or more than max_bytes of parameters */
MUST_USE enum err_kind module_check(const struct layer *layer, int layers, enum dtype dtype,
                                    size_t max_bytes, struct err *e);
/* Makes a module of a copy of the (checked) layers; parameters are 0. NULL: no memory. */
MUST_USE struct module *module_new(const struct layer *layer, int layers, enum dtype dtype);
void module_free(struct module *m);

/* A parameter of a module that a program computes. */
struct declaration {
    char name[PARAMETER_NAME_BYTES];
    struct shape shape;
    bool requires_grad;
    void *data; /* initial values, row-major */
};
/* Readies a parsed program to be a module's forward: looks its functions up, and that every name it
 * reads is x, a parameter, a function, or was given a value before.
 *   errors INVALID *where is set · NOMEM */
MUST_USE enum err_kind module_bind_program(struct program *p, const struct declaration *parameter,
                                           int parameters, struct place *where, struct err *e);
/* A module whose output a bound program gives, of x and the parameters by their names.
 *   p            outlives the module
 *   dtype        of the parameters and their data
 *   input_dtype  of x
 * NULL: no memory. */
MUST_USE struct module *module_new_program(const struct program *p,
                                           const struct declaration *parameter, int parameters,
                                           enum dtype dtype, enum dtype input_dtype);
/* The same module with the same parameters, all in float64; no gradients. NULL: no memory. */
MUST_USE struct module *module_widened(const struct module *m);

/* reset_parameters of every layer, in order: PyTorch's initial values. */
void module_reset(struct module *m, struct rng *rng);

/* What a forward will be, known before anything is allocated for it. */
struct module_facts {
    struct shape output;
    enum dtype dtype; /* of the output */
    size_t bytes;     /* of all numbers that are made on the way, each layer's by itself; SIZE_MAX:
                         more than that holds */
    double work;      /* multiplications, about */
};
/* For inputs of shape x. m is only read. errors INVALID · NOMEM */
MUST_USE enum err_kind module_facts(const struct module *m, const struct shape *x,
                                    struct module_facts *out, struct err *e);
/* The shape of a batch of one row, as far as the layers tell it: [1, in_features of the first one
 * that has such]. false: they do not. */
bool module_least_input(const struct module *m, struct shape *x);
/* y = m(x). errors INVALID · NOMEM */
MUST_USE enum err_kind module_forward(struct module *m, struct tape *t, struct tensor *x,
                                      struct tensor **y, struct err *e);

/* NULL: there is no parameter of that name. */
struct parameter *module_find(struct module *m, const char *name);
/* The parameters were written from outside: what was saved of them is stale. */
void module_touch(struct module *m);
size_t module_bytes(const struct module *m); /* of one block */

/* A block that is laid out as the parameters' is, as one with each parameter row-major, which is
 * how clients see it; and back. The two do not overlap. */
void module_to_rows(const struct module *m, const void *block, void *rows);
void module_from_rows(const struct module *m, const void *rows, void *block);

/* Makes the gradients' block. errors NOMEM. No-op if it is there. */
MUST_USE enum err_kind module_need_gradients(struct module *m, struct err *e);
/* Takes over what t owes, before t forgets it: what is deferred counts as a gradient that is there,
 * but its numbers are not to be read. errors NOMEM nothing is deferred */
MUST_USE enum err_kind module_defer(struct module *m, const struct tape *t, struct err *e);
/* Makes what is deferred, in its slots: first of all, where a gradient is read or added to. crew
 * may be NULL. errors NOMEM; a repeat goes on */
MUST_USE enum err_kind module_make_deferred(struct module *m, const struct kernels *k,
                                            struct crew *crew, struct err *e);
/* Nobody will ask. */
void module_drop_deferred(struct module *m);
size_t module_deferred_bytes(const struct module *m); /* of memory, as mem_size counts */
/* Every gradient becomes None, as optimizer.zero_grad() of current PyTorch makes it. */
void module_zero_grad(struct module *m);
/* The L2 norm over all gradients, as torch.nn.utils.clip_grad_norm_ counts it; 0 without any. */
double module_gradient_norm(const struct module *m, const struct kernels *k);
/* A bound of that norm after a backward on t that may owe gradients, which are not made for it. */
double module_gradient_bound(const struct module *m, const struct tape *t);
bool module_gradients_are_finite(const struct module *m, const struct kernels *k);

/* The digest (engine/kernels.h) of what parameter i has of a block that is laid out as the
 * parameters' is. */
uint64_t module_part_digest(const struct module *m, int i, const void *block,
                            const struct kernels *k);
/* Of the gradients that are there, and of which are. */
uint64_t module_gradient_digest(const struct module *m, const struct kernels *k);

#endif
