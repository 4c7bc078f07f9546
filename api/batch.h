/* api/batch.h - one batch of a model: inputs and targets, checked against its layers and loss.
 *
 * Threads: immutable once read, but for squares.
 */
#ifndef API_BATCH_H
#define API_BATCH_H

#include "api/csv.h"
#include "api/json_in.h"
#include "api/json_out.h"
#include "api/tensors.h"
#include "engine/loss.h"
#include "engine/module.h"

struct batch {
    int64_t n; /* its number in the model; 0: not pushed, given inline */
    int64_t created_at;
    int64_t pushed, deleted; /* the changes that brought it and took it away; 0: none */
    struct storage storage;  /* x and then y, in one block */
    size_t bytes;            /* of that block */
    enum dtype output_type;  /* of the output for it, and of its loss */
    double work;             /* multiplications that a forward over it takes, about */
    struct tensor x, y;      /* y.storage NULL: no targets */
    struct squares squares;  /* of x, of a pushed batch that has been trained on; set in its line */
    bool lent;               /* the block is the request's body */
};

/* What a batch has to fit. */
struct batch_rules {
    const struct module *module;
    const struct loss *loss;
    size_t max_activation_bytes; /* that a forward over the batch may need */
};

enum targets { TARGETS_OPTIONAL, TARGETS_REQUIRED };

/* Reads {"inputs", "targets"} of an object; other fields are left to the caller. With targets
 * required it is training data, and every number must be finite.
 *   errors INVALID with the pointer to the very element · NOMEM
 *   after  batch_free */
MUST_USE enum err_kind batch_read(const struct json *j, const cJSON *object,
                                  const struct batch_rules *rules, enum targets targets,
                                  struct batch **out, struct err *e);
/* The same of a file's arrays. Inputs alone are not copied if they lie as they are needed: t's body
 * must then outlive the batch. */
MUST_USE enum err_kind batch_take(const struct tensors *t, const struct batch_rules *rules,
                                  enum targets targets, struct batch **out, struct err *e);
/* Training data from a table: the last so many columns are the targets. */
MUST_USE enum err_kind batch_read_csv(const struct csv *csv, int64_t targets,
                                      const struct batch_rules *rules, struct batch **out,
                                      struct err *e);
void batch_free(struct batch *b); /* NULL is fine */
/* The inputs of several batches, without targets and alike in all but their rows, one below the
 * other.  errors INVALID the rules do not allow so many rows · NOMEM */
MUST_USE enum err_kind batch_stack(struct batch *const *b, size_t batches,
                                   const struct batch_rules *rules, struct batch **out,
                                   struct err *e);
/* errors NOMEM */
MUST_USE enum err_kind batch_copy(const struct batch *b, struct batch **out, struct err *e);

/* Would a batch of so many rows like those of `like` fit? errors INVALID · NOMEM */
MUST_USE enum err_kind batch_fits_like(const struct batch *like, int64_t rows,
                                       const struct batch_rules *rules, struct err *e);
/* One, of zeros, which batch_resize may make smaller, and as large again.
 *   errors as above
 *   after  batch_free */
MUST_USE enum err_kind batch_like(const struct batch *like, int64_t rows,
                                  const struct batch_rules *rules, struct batch **out,
                                  struct err *e);
void batch_resize(struct batch *b, int64_t rows);

/* A stored batch: layout is what batch_layout wrote. errors IO: they do not fit. */
MUST_USE enum err_kind batch_restore(int64_t n, const char *layout, const void *data, size_t bytes,
                                     const struct batch_rules *rules, struct batch **out,
                                     struct err *e);
/* Adds its insertion to txn, which then points into b. false: no memory, which the commit tells. */
struct store_txn;
bool batch_insert(struct store_txn *txn, int64_t model, const struct batch *b);
/* The text of both shapes. */
void batch_layout(struct json_out *w, const struct batch *b);

/* {"batch", "rows", "input_shape", "target_shape", "bytes"} into an open object. */
void batch_write(struct json_out *w, const struct batch *b);
void tensor_write(struct json_out *w, const struct tensor *t);

#endif
