/* api/replay.h - a state of the past, made again: a checkpoint, and the changes behind it.
 *
 * Every change is done as it was done first, and what comes out is compared with what its row says:
 * the step, the losses, the digest of parameters and momentum. So what is served is proven, or it
 * is an earlier state that is, and says so.
 */
#ifndef API_REPLAY_H
#define API_REPLAY_H

#include "api/session.h"

/* The model in the last state that the store can prove. If that is not the last one there was,
 * (*out)->damage says why.
 *   scratch  is used if changes are to be done again; NULL: one is made for them, which takes
 * longer than a small model's changes errors  IO not even a checkpoint can be read · NOMEM */
MUST_USE enum err_kind replay_model(struct api *a, const struct store_model *model,
                                    struct scratch *scratch, struct session **out, struct err *e);

/* Makes the state that the model of s had right after `step` steps (0: as it was born), as a
 * session that nobody else knows, with the batches of the time. Where the way there is gone, a
 * checkpoint that was made later at that step will do. s is only read. In line. *from   the change
 * that led to it; -1: a checkpoint alone does errors  INVALID, pointer "/step": it cannot be
 * reached · UNAVAILABLE: s is lost · IO · NOMEM */
MUST_USE enum err_kind replay_to_step(struct session *s, int64_t step, struct session **out,
                                      int64_t *from, struct err *e);

#endif
