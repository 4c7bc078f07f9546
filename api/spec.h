/* api/spec.h - what a model is made of, in JSON and out of it.
 *
 * The same text is a POST's body, the store's `spec` and part of the representation, read and
 * written by the same two functions. Layers, losses and optimizers are known here only as rows of
 * the engine's tables.
 */
#ifndef API_SPEC_H
#define API_SPEC_H

#include "api/json_in.h"
#include "api/json_out.h"
#include "engine/loss.h"
#include "engine/module.h"
#include "engine/optim.h"

#define SPEC_LAYERS_MAX     1024
#define SPEC_PARAMETERS_MAX 1024

enum on_divergence { DIVERGENCE_STOP, DIVERGENCE_CONTINUE };
enum durability { DURABILITY_PROCESS, DURABILITY_POWER, DURABILITY_NONE };
extern const char *const on_divergence_names[], *const durability_names[];

/* What PATCH may change, under the session's lock. */
struct spec_options {
    struct sgd_options optimizer;
    int on_divergence; /* enum on_divergence */
    int durability;    /* enum durability */
};

/* Either layers, or a program over parameters. All but the options stays as it was read: forwards
 * look at it without a lock. */
struct spec {
    struct layer *layer; /* owned */
    int layers;
    struct program *program;       /* owned, bound; NULL: there are layers */
    char *forward;                 /* owned: its text */
    struct declaration *parameter; /* owned */
    int parameters;
    enum dtype parameter_dtype;
    struct loss loss;
    enum dtype dtype;
    int64_t seed;
    struct spec_options options;
};

/* Reads a whole spec; an "id" beside it is left to the caller.
 *   errors INVALID with the pointer · NOMEM
 *   after  spec_close, also after an error */
MUST_USE enum err_kind spec_read(const struct json *j, size_t max_bytes, struct spec *out,
                                 struct err *e);
void spec_close(struct spec *s);
/* The initial values are in the module by now, and no longer in the spec. */
void spec_forget_values(struct spec *s);
/* Writes the members of an open object, as they stand in the representation. */
void spec_write(struct json_out *w, const struct spec *s);
/* The same with the initial values: all that spec_read needs to make it anew. */
void spec_write_whole(struct json_out *w, const struct spec *s);

/* A merge patch of {"optimizer", "on_divergence", "durability"}; other fields are ignored.
 * Nothing is changed after an error. */
MUST_USE enum err_kind spec_patch(struct spec_options *o, const cJSON *object, struct err *e);
/* Values of a list as an object, "type" first. */
void options_write(struct json_out *w, const struct options *list, const double *value);
void spec_write_optimizer(struct json_out *w, const struct sgd_options *o);

/* ---- models by expression (api/spec_expression.c); spec.c's own ---------------------------- */

/* "parameters" and "forward" of the document; s->dtype is known. */
MUST_USE enum err_kind expression_read(const struct json *j, size_t max_bytes, struct spec *s,
                                       struct err *e);
void expression_write(struct json_out *w, const struct spec *s, bool whole);
void expression_close(struct spec *s);

#endif
