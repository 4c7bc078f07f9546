/* server/ask.h - one HTTP request to a daemon, for the commands that need one to answer.
 *
 * Threads: nothing is shared.
 */
#ifndef SERVER_ASK_H
#define SERVER_ASK_H

#include "server/address.h"

struct ask_request {
    const char *method, *target;
    const char *body; /* JSON; NULL: none */
    int seconds;      /* to wait for the answer */
};

struct ask_answer {
    int status;
    const char *body; /* NUL-terminated, in text */
    size_t bytes;
    char text[8192]; /* all of it, cut where it is longer */
};

/* Asks and reads the whole answer.
 *   errors  IO it could not be asked, or there was no answer in time · UNAVAILABLE it was no HTTP
 */
MUST_USE enum err_kind ask(const struct address *a, const struct ask_request *request,
                           struct ask_answer *out, struct err *e);

#endif
