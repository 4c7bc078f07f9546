/* api/routes.h - the endpoints, as one table.
 *
 * The only list of them: matching, 404 and 405, Allow, body limits, where a call runs, and the
 * README's table all come from it.
 */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "api/api.h"
#include "api/media.h"

#define ROUTE_PARAMS_MAX 2
#define ROUTE_QUERY_MAX  4

enum route_body {
    BODY_NONE, /* a body is refused: 413 */
    BODY_JSON, /* application/json, or nothing at all: {} */
    BODY_DATA, /* the same with numbers in it: up to the configured limit */
};

enum route_trait {
    LIGHT = 1, /* it waits for nothing but the model: small ones run where they were received */
    MENDS = 2, /* it may change a model whose past is damaged */
    OF_JOB = 4, /* {n} is a job, in the line of whose model it stands */
    /* Content types beside JSON, of bodies and of answers. */
    TAKES_MERGE_PATCH = MEDIA_BIT(MEDIA_MERGE_PATCH) << 16,
    TAKES_SAFETENSORS = MEDIA_BIT(MEDIA_SAFETENSORS) << 16,
    TAKES_NPY = MEDIA_BIT(MEDIA_NPY) << 16,
    TAKES_CSV = MEDIA_BIT(MEDIA_CSV) << 16,
    GIVES_SAFETENSORS = MEDIA_BIT(MEDIA_SAFETENSORS) << 24,
    GIVES_NPY = MEDIA_BIT(MEDIA_NPY) << 24,
};

struct route {
    const char *method, *path; /* "/models/{id}/step" */
    enum err_kind (*handler)(struct call *c, struct err *e);
    enum call_mode mode;
    int status; /* of success */
    enum route_body body;
    unsigned traits;                        /* of enum route_trait */
    const char *query[ROUTE_QUERY_MAX + 1]; /* the names it takes; NULL ends them */
    const char *does;                       /* one line for the README */
    /* Runs the handler of several calls of one model at a time, which are prepared as for it, and
     * writes what it says of each into e; NULL: they are better run one by one. Only one route of
     * a model may have it: a group is a model's. */
    void (*together)(struct call *const *c, size_t calls, struct err *e);
};

extern const struct route routes[]; /* a NULL method ends them */
/* What api_due hands out, and no client can ask for. */
extern const struct route route_checkpoint_due, route_put_away_due, route_job_due;

/* The content types of its bodies and answers, sets of enum media. */
unsigned route_takes(const struct route *r);
unsigned route_gives(const struct route *r);

/* Finds the route of method and path. path is cut into pieces in place, param gets its variable
 * ones. NULL: none; allow (if not NULL) then holds the path's methods, "" if there is no such
 * path. */
const struct route *route_match(const char *method, char *path, const char *param[ROUTE_PARAMS_MAX],
                                char *allow, size_t allow_bytes);

/* The endpoint table of the README, in Markdown. */
void routes_write_markdown(void (*write)(void *arg, const char *line), void *arg);
/* The table of what they take and give besides JSON. */
void routes_write_media(void (*write)(void *arg, const char *line), void *arg);

#endif
