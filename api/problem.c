#include "api/problem.h"

#include <stdio.h>

int problem_status(enum err_kind kind)
{
    switch (kind) { /* no default: a kind without a status does not compile */
    case ERR_OK:
        return 200;
    case ERR_MALFORMED:
        return 400;
    case ERR_FORBIDDEN:
        return 403;
    case ERR_NOT_FOUND:
        return 404;
    case ERR_METHOD:
        return 405;
    case ERR_CONFLICT:
        return 409;
    case ERR_PRECONDITION:
        return 412;
    case ERR_TOO_LARGE:
        return 413;
    case ERR_MEDIA_TYPE:
        return 415;
    case ERR_INVALID:
    case ERR_DIVERGED:
        return 422;
    case ERR_BUSY:
        return 429;
    case ERR_UNAVAILABLE:
    case ERR_NOMEM:
    case ERR_IO:
        return 503;
    case ERR_FULL:
        return 507;
    case ERR_INTERNAL:
    case ERR_KIND_COUNT:
        return 500;
    }
    return 500;
}

void problem_write(struct json_out *w, const struct err *e, const struct json_out *extra)
{
    char type[64];
    snprintf(type, sizeof type, "/problems/%s", err_slug(e->kind));
    json_begin_object(w);
    json_key_string(w, "type", type);
    json_key_string(w, "title", err_title(e->kind));
    json_key_int(w, "status", problem_status(e->kind));
    json_key_string(w, "detail", e->message);
    if (e->pointer[0])
        json_key_string(w, "pointer", e->pointer);
    if (extra && extra->bytes > 1) /* its members follow ours: `{"a":1` becomes `,"a":1` */
        json_raw(w, extra->text + 1, extra->bytes - 1);
    json_end_object(w);
}
