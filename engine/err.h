/* engine/err.h - what can go wrong, and how it travels up.
 *
 * A function that can fail returns enum err_kind (0 is fine) and fills the caller's struct err.
 * The place that knows the fact writes it; callers never overwrite it, they only prepend.
 * Threads: a struct err belongs to its caller's stack; nothing here is shared.
 */
#ifndef ENGINE_ERR_H
#define ENGINE_ERR_H

#include "engine/attr.h"

/* kind, slug (the stable name a client sees), title (one line for a person).
 * The HTTP status of each kind is known in api/problem.c and nowhere else. */
#define ERR_KINDS(X)                                                                               \
    X(OK, "ok", "No error")                                                                        \
    X(MALFORMED, "malformed-request", "The request cannot be read")                                \
    X(INVALID, "invalid-argument", "The request is well-formed but wrong")                         \
    X(DIVERGED, "diverged", "The loss or a gradient is no longer finite")                          \
    X(FORBIDDEN, "forbidden", "The daemon does not serve this host or origin")                     \
    X(NOT_FOUND, "not-found", "There is no such resource")                                         \
    X(METHOD, "method-not-allowed", "The resource does not take this method")                      \
    X(CONFLICT, "conflict", "The request conflicts with the resource's state")                     \
    X(TOO_LARGE, "too-large", "The body is over the limit")                                        \
    X(MEDIA_TYPE, "unsupported-media-type", "The content type is not taken here")                  \
    X(BUSY, "busy", "The model's queue is full")                                                   \
    X(UNAVAILABLE, "unavailable", "The daemon cannot take work now")                               \
    X(NOMEM, "out-of-memory", "The daemon is out of its memory")                                   \
    X(PRECONDITION, "precondition-failed", "The model has moved on")                               \
    X(FULL, "insufficient-storage", "There is no space left to keep the change")                   \
    X(IO, "storage-failure", "The storage failed")                                                 \
    X(INTERNAL, "internal", "The daemon made a mistake")

enum err_kind {
#define ERR_ENUM(kind, slug, title) ERR_##kind,
    ERR_KINDS(ERR_ENUM)
#undef ERR_ENUM
        ERR_KIND_COUNT
};

struct err {
    enum err_kind kind;
    const char *file; /* where it was born, for the log */
    int line;
    char pointer[192]; /* RFC 6901 pointer into the request body, "" if no field is at fault */
    char message[768]; /* plain text for a person */
};

/* Fills *e and returns kind: `return err_set(e, ERR_INVALID, "/lr", "must be >= 0, got %g", lr)`.
 *   pointer  RFC 6901, "" if no field is at fault */
#define err_set(e, kind, pointer, ...)                                                             \
    err_set_at((e), (kind), __FILE__, __LINE__, (pointer), __VA_ARGS__)
enum err_kind err_set_at(struct err *e, enum err_kind kind, const char *file, int line,
                         const char *pointer, const char *format, ...) PRINTF_LIKE(6, 7);

/* Extends the pointer on the way up: "/in_features" becomes "/layers/2/in_features".
 * The text of a key is escaped by the caller (err_escape). Returns e->kind. That there is no memory
 * is no field's fault: NOMEM gets no pointer. */
enum err_kind err_prefix(struct err *e, const char *format, ...) PRINTF_LIKE(2, 3);

/* Prepends to the message: "checkpoint 3: " + what was there. Returns e->kind. */
enum err_kind err_wrap(struct err *e, const char *format, ...) PRINTF_LIKE(2, 3);

/* Writes key with RFC 6901's escapes (~0, ~1) to out (bytes long, always terminated). */
void err_escape(const char *key, char *out, int bytes);

const char *err_slug(enum err_kind kind);
const char *err_title(enum err_kind kind);

#endif
