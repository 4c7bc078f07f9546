/* storage/front.h - the newest changes of all models, before they are put into their places.
 *
 * In the table `runs` the changes of a model lie together, as its opening reads them; a commit of
 * many models' changes would write a page for each. So it writes one row instead, a group: all the
 * changes of the commit behind each other (pack.h). Once there are many they go to their places
 * (settle.h). What reads changes looks in both, and finds some in both.
 *
 * The row FRONT_END names the last group.
 */
#ifndef STORAGE_FRONT_H
#define STORAGE_FRONT_H

#include "storage/pack.h"
#include "storage/store.h"

void front_close(struct front *f);

/* Where a transaction's changes begin, to go back to. */
struct front_mark {
    size_t bytes, heads;
};
struct front_mark front_mark(const struct db *db);
/* The changes since mark are not made, or the whole transaction was rolled back (mark NULL). */
void front_undo(struct db *db, const struct front_mark *mark);

/* Adds a change, behind the model's last one.
 *   blob    of its data, if that is not in the change
 *   errors  UNAVAILABLE it is not the next */
MUST_USE enum err_kind front_append(struct db *db, int64_t model, const struct store_change *c,
                                    const struct blob *blob, struct err *e);
/* Writes what was added as a group. */
MUST_USE enum err_kind front_flush(struct db *db, struct err *e);
/* Is so much added that it should be flushed before more is? */
bool front_is_full(const struct db *db);

/* *seq: the last change of the model that is here, 0: none is. */
MUST_USE enum err_kind front_last(struct db *db, int64_t model, int64_t *seq, struct err *e);
/* Calls visit for every change here of the model, from number first on, in order. */
MUST_USE enum err_kind front_each(struct db *db, int64_t model, int64_t first, pack_visit *visit,
                                  void *arg, struct err *e);

/* The same for the changes of all models, a group after the other, unread (pack.h). */
MUST_USE enum err_kind front_each_of_all(struct db *db, pack_visit *visit, void *arg,
                                         struct err *e);
/* How many changes there are, and the number of the last group. */
MUST_USE enum err_kind front_count(struct db *db, size_t *rows, int64_t *last_group, struct err *e);
/* Drops the groups up to that one. */
MUST_USE enum err_kind front_drop(struct db *db, int64_t upto, struct err *e);

/* A new file's part. */
MUST_USE enum err_kind front_begin(struct db *db, struct err *e);
/* When a file is opened: are all groups there? IO: one is missing. */
MUST_USE enum err_kind front_open(struct db *db, struct err *e);

#endif
