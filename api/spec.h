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
#include "engine/optim.h"

#define SPEC_LAYERS_MAX 1024

enum on_divergence { DIVERGENCE_STOP, DIVERGENCE_CONTINUE };
enum durability { DURABILITY_PROCESS, DURABILITY_POWER, DURABILITY_NONE };
extern const char *const on_divergence_names[], *const durability_names[];

struct spec {
    struct layer *layer; /* owned */
    int layers;
    struct loss loss;
    struct sgd_options optimizer;
    enum dtype dtype;
    int64_t seed;
    /* What PATCH may change beside the optimizer. */
    int on_divergence; /* enum on_divergence */
    int durability;    /* enum durability */
};

/* Reads a whole spec; an "id" beside it is left to the caller.
 *   errors INVALID with the pointer · NOMEM
 *   after  spec_close, also after an error */
MUST_USE enum err_kind spec_read(const struct json *j, size_t max_bytes, struct spec *out,
                                 struct err *e);
void spec_close(struct spec *s);
/* Writes the members of an open object. */
void spec_write(struct json_out *w, const struct spec *s);

/* A merge patch of {"optimizer", "on_divergence", "durability"}; other fields are ignored.
 * Nothing is changed after an error. */
MUST_USE enum err_kind spec_patch(struct spec *s, const cJSON *object, struct err *e);
void spec_write_optimizer(struct json_out *w, const struct sgd_options *o);

#endif
