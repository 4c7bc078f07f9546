/* tests/server/http_client.h - a small HTTP client over libcurl, for tests.
 *
 * One client, one thread, one connection that is kept. What fails below HTTP fails the test.
 */
#ifndef TESTS_HTTP_CLIENT_H
#define TESTS_HTTP_CLIENT_H

#include <stddef.h>

struct http_client;

struct http_reply {
    long status;
    long connects; /* new connections that it took: 0 if the last one was used again */
    char *headers; /* as they came, NUL-terminated */
    char *body;    /* NUL-terminated */
    size_t bytes;  /* of the body */
};

struct http_client *http_client_new(const char *base_url);
void http_client_free(struct http_client *c);

/* headers: "Name: value" each, NULL ends them; NULL for none. body NULL: none is sent.
 * The reply is valid until the client's next request. */
const struct http_reply *http_send(struct http_client *c, const char *method, const char *path,
                                   const char *const *headers, const void *body, size_t bytes);
/* The same, for threads other than the test's own, in which nothing may assert: NULL if it fails
 * below HTTP. */
const struct http_reply *http_try(struct http_client *c, const char *method, const char *path,
                                  const char *const *headers, const void *body, size_t bytes);
const struct http_reply *http_get(struct http_client *c, const char *path);
/* With Content-Type: application/json. */
const struct http_reply *http_post(struct http_client *c, const char *path, const char *json);

/* The value of a header, up to its line's end, in out; "" if there is none. Returns out. */
const char *http_header(const struct http_reply *r, const char *name, char *out, size_t bytes);

#endif
