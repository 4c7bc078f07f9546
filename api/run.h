/* api/run.h - one program of POST /autograd, from request to answer; for autograd.c and
 * autograd_out.c only.
 *
 * A program runs in slices, as a long training call does, on whatever worker comes; between them it
 * keeps its tape and its interpreter, and nothing of a worker's. All that it holds is taken from
 * one budget for all programs, so that any number of them cannot exhaust the daemon.
 */
#ifndef API_RUN_H
#define API_RUN_H

#include "api/call.h"
#include "engine/interp.h"

/* A root of the graph that is shown. */
struct root {
    const char *name;
    const struct tensor *tensor;
};

struct run {
    struct call *call;
    struct tape tape; /* its workspace is the worker's, for a slice */
    struct interp interp;
    struct program program;
    size_t held;         /* bytes of the budget beside those of the tape */
    int64_t began, ran;  /* ns: this slice, those before */
    bool asked;          /* must_stop, in this slice */
    bool done;           /* the program has ended: its values are being written */
    bool graph;          /* is wanted */
    const cJSON *wanted; /* `return`, NULL: nothing */
    const cJSON *next;   /* of it */
    int index;           /* of next */
    struct root *root;   /* tensors of `return` with a history */
    int roots;
};

/* A mistake in the program that stands at pointer: adds where it is, and what was printed before
 * it. Memory that was refused passes unchanged. */
enum err_kind run_mistake(struct run *r, const char *pointer, const struct place *where,
                          struct err *e);
/* What was printed, as a member "stdout" of an open object. */
void run_write_output(const struct run *r, struct json_out *w);
/* Counts bytes that the run takes beside its tape, until its end. errors NOMEM */
MUST_USE enum err_kind run_hold(struct run *r, size_t bytes, struct err *e);
/* Parses and binds a text of the request, and counts the bytes that it takes.
 *   errors INVALID at pointer · NOMEM; then there is nothing to close */
MUST_USE enum err_kind run_open_program(struct run *r, const char *text, const char *pointer,
                                        struct program *out, struct err *e);
void run_close_program(struct run *r, struct program *p);

/* ---- the answer (api/autograd_out.c), in this order -------------------------------------- */

MUST_USE enum err_kind run_begin_values(struct run *r, struct err *e);
/* The next expression of `return`. errors INVALID, a mistake in it · NOMEM */
MUST_USE enum err_kind run_write_value(struct run *r, struct err *e);
/* stdout, warnings, the graph; ends the answer. errors NOMEM */
MUST_USE enum err_kind run_write_rest(struct run *r, struct err *e);

#endif
