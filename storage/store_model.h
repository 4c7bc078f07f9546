/* storage/store_model.h - what the store counts for a model, and how damage is told.
 *
 * The tally stands in the model's row with a seal of its own. Its rolls say which children there
 * must be, so that a row that vanished, or whose key was altered, cannot pass for one that never
 * was. Each change of the children changes it in the same transaction.
 */
#ifndef STORAGE_STORE_MODEL_H
#define STORAGE_STORE_MODEL_H

#include "storage/sql.h"

struct tally {
    int64_t last_batch, last_checkpoint; /* the highest numbers ever, 0: none */
    int64_t last_serial;                 /* of the newest automatic checkpoint, 0: none */
    int64_t batch_roll, checkpoint_roll; /* the sum of roll_of(n) over the rows */
    int64_t loss_end;                    /* the step after the last one with a loss, 0: none */
};

/* NOT_FOUND: there is no such model. IO: damaged. */
MUST_USE enum err_kind tally_read(struct db *db, int64_t model, struct tally *t, struct err *e);
MUST_USE enum err_kind tally_write(struct db *db, int64_t model, const struct tally *t,
                                   struct err *e);

/* The key that an action was given, or the one it stands for. */
int64_t model_key(const struct db *db, int64_t model);

/* A row's part of its model's roll; the same sum in SQL is sum(1 + n % 4294967291). The prime
 * keeps the sum small and lets no single flipped bit of n pass. */
int64_t roll_of(int64_t n);
/* IO: sum, a literal that selects the rows' sum, does not give `roll`. */
MUST_USE enum err_kind roll_check(struct db *db, const char *sum, int64_t model, int64_t roll,
                                  struct err *e);

/* IO "model "digits": batch 3 is damaged", from a format for the part after the colon. */
enum err_kind model_damaged(struct db *db, int64_t model, struct err *e, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* Prepends the same to an error of kind IO, and to no other. Returns e->kind. */
enum err_kind model_wrap(struct db *db, int64_t model, struct err *e, const char *format, ...)
    PRINTF_LIKE(4, 5);

#endif
