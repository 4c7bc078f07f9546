#include "server/check.h"

#include <unistd.h>

#include "api/api.h"
#include "server/serve.h"

static void tell(void *out, const char *line)
{
    fprintf(out, "%s\n", line);
}

/* What there is to replay is left for the daemon's next start. */
static bool always(void *arg)
{
    (void)arg;
    return true;
}

static void tell_notices(struct api *a, FILE *out)
{
    char text[API_NOTICE_BYTES];
    while (api_next_notice(a, text))
        tell(out, text);
}

enum err_kind check(const struct config *c, FILE *out, bool *sound, struct err *e)
{
    struct api_config config = serve_api_config(c);
    struct api *api;
    struct err late;
    config.data = c->operand;
    config.backup_dir = "";
    *sound = false;
    if (access(c->operand, F_OK)) /* opening it would make one */
        return err_set(e, ERR_NOT_FOUND, "", "there is no %s", c->operand);
    enum err_kind rc = api_open(&config, &api, e);
    if (rc)
        return rc;
    rc = api_verify(api, tell, out, sound, e);
    tell_notices(api, out);
    enum err_kind end = api_close(api, always, NULL, &late);
    if (!rc && end)
        *e = late;
    return rc ? rc : end;
}
