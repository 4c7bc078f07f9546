/* api/handlers.h - the handlers that the route table names; each is described there. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "api/call.h"

typedef enum err_kind handler(struct call *c, struct err *e);

/* api/health.c */
handler get_healthz, get_readyz, checkpoint_due, put_away_due;
/* api/memory.c */
handler get_memory;
/* api/metrics.c */
handler get_metrics;
/* api/models.c */
handler post_models, get_models, get_model, patch_model, delete_model;
/* api/batches.c */
handler post_batches, get_batches, get_batch, delete_batch;
/* api/training.c */
handler post_step, post_backward, post_zero_grad, post_optimizer_step;
/* api/fitting.c */
handler post_fit, job_due;
/* api/job_calls.c */
handler get_jobs, get_job, delete_job;
/* api/reading.c */
handler post_forward, get_gradients, get_parameters, put_parameters;
/* post_forward for several calls: their inputs are stacked where that changes no bit. */
void forward_together(struct call *const *c, size_t calls, struct err *e);
/* api/history.c */
handler get_losses;
/* api/event_text.c */
handler get_events;
/* api/autograd.c */
handler post_autograd;
/* api/model_graph.c */
handler get_graph;
/* api/checkpoints.c */
handler post_checkpoints, get_checkpoints, get_checkpoint, post_restore, delete_checkpoint;

/* api/rewind.c */
handler post_restore_step, post_fork;
/* api/admin.c */
handler post_backup;

/* Its "state"; training: the call that changes it goes on. In line, or under the read lock. */
const char *model_state(const struct session *s, bool training);
/* The representation of a model, into an object of its own; returns the step it shows. Takes the
 * read lock. */
int64_t model_write(struct json_out *w, struct session *s);
/* That of the call's model as the whole answer, tagged. */
void call_write_model(struct call *c);
/* The further members of /problems/diverged: b is the batch of the step, NULL if it is not known.
 */
void call_tell_divergence(struct call *c, const struct batch *b, const struct step_result *r);
/* An internal call for job_due: takes the turn of the next model with jobs. false: nobody's. */
bool call_take_turn(struct call *c);
/* The session has been put back to the state after the change `from` (-1: none): keeps that, and
 * answers with the model. */
MUST_USE enum err_kind call_keep_restored(struct call *c, int64_t from, struct err *e);
/* The id that the client gives in the body, or one of ours. errors INVALID */
MUST_USE enum err_kind call_choose_id(struct call *c, char id[STORE_ID_BYTES], struct err *e);
/* A time in ms as RFC 3339 text. */
void json_key_time(struct json_out *w, const char *key, int64_t millis);
/* Do we take work: is the storage open, and nothing draining? */
MUST_USE enum err_kind api_ready(struct api *a, struct err *e);
/* ?limit=, with its default. */
MUST_USE enum err_kind call_limit(const struct call *c, int64_t *out, struct err *e);

#endif
