#include "server/backup.h"

#include <string.h>

#include "api/api.h"
#include "engine/mem.h"
#include "server/ask.h"

/* The daemon answers when the copy is made; a large one on a slow disk takes its time. */
#define TIMEOUT_SECONDS 3600

static enum err_kind ask_daemon(const struct config *c, const struct api_config *api,
                                int64_t *bytes, struct err *e)
{
    struct ask_request request = {"POST", "/admin/backup", NULL, TIMEOUT_SECONDS};
    struct ask_answer answer;
    char *body;
    enum err_kind rc = api_backup_ask(api, c->operand, &body, e);
    request.body = body;
    if (!rc)
        rc = ask(&c->address, &request, &answer, e);
    if (!rc)
        rc = api_backup_answer(answer.status, answer.body, answer.bytes, bytes, e);
    mem_free(body);
    if (rc)
        err_wrap(e, "a daemon has %s and is asked at %s: ", c->data, c->listen);
    return rc;
}

enum err_kind backup(const struct config *c, int64_t *bytes, struct err *e)
{
    const struct api_config api = {
        .data = c->data,
        .network_files = !strcmp(c->network_files, "allow"),
    };
    bool in_use;
    enum err_kind rc = api_backup(&api, c->operand, bytes, &in_use, e);
    return in_use ? ask_daemon(c, &api, bytes, e) : rc;
}
