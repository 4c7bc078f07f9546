#include "server/healthcheck.h"

#include "server/ask.h"

#define TIMEOUT_SECONDS 5

enum err_kind healthcheck(const struct address *a, struct err *e)
{
    const struct ask_request request = {"GET", "/healthz", NULL, TIMEOUT_SECONDS};
    struct ask_answer answer;
    enum err_kind rc = ask(a, &request, &answer, e);
    if (!rc && answer.status != 200)
        rc = err_set(e, ERR_UNAVAILABLE, "", "the answer is not 200");
    return rc;
}
