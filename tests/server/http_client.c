#include "tests/server/http_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct text {
    char *start;
    size_t bytes, room;
};

struct http_client {
    CURL *curl;
    char base[200];
    struct text headers, body;
    struct http_reply reply;
};

static size_t append(struct text *t, const char *data, size_t more)
{
    if (t->bytes + more >= t->room) {
        t->room = 2 * (t->bytes + more) + 1024;
        t->start = realloc(t->start, t->room);
        assert_non_null(t->start);
    }
    memcpy(t->start + t->bytes, data, more);
    t->bytes += more;
    t->start[t->bytes] = '\0';
    return more;
}

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
    struct http_client *c = arg;
    return append(&c->body, data, size * count);
}

static size_t take_header(char *data, size_t size, size_t count, void *arg)
{
    struct http_client *c = arg;
    return append(&c->headers, data, size * count);
}

static void clear(struct text *t)
{
    t->bytes = 0;
    append(t, "", 0);
}

struct http_client *http_client_new(const char *base_url)
{
    struct http_client *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->curl = curl_easy_init();
    assert_non_null(c->curl);
    snprintf(c->base, sizeof c->base, "%s", base_url);
    return c;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    free(c->body.start);
    free(c->headers.start);
    free(c);
}

/* A reset keeps the connection. */
static void prepare(struct http_client *c, const char *method, const char *path)
{
    char url[9000];
    snprintf(url, sizeof url, "%s%s", c->base, path);
    curl_easy_reset(c->curl);
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(c->curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, 120L);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
    if (!strcmp(method, "HEAD"))
        curl_easy_setopt(c->curl, CURLOPT_NOBODY, 1L);
}

static CURLcode perform(struct http_client *c, const char *method, const char *path,
                        const char *const *headers, const void *body, size_t bytes)
{
    struct curl_slist *list = NULL;
    clear(&c->headers);
    clear(&c->body);
    prepare(c, method, path);
    for (; headers && *headers; headers++)
        list = curl_slist_append(list, *headers);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, list);
    if (body) {
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)bytes);
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body);
    }
    CURLcode code = curl_easy_perform(c->curl);
    curl_slist_free_all(list);
    c->reply = (struct http_reply){
        .headers = c->headers.start, .body = c->body.start, .bytes = c->body.bytes};
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &c->reply.status);
    curl_easy_getinfo(c->curl, CURLINFO_NUM_CONNECTS, &c->reply.connects);
    return code;
}

const struct http_reply *http_try(struct http_client *c, const char *method, const char *path,
                                  const char *const *headers, const void *body, size_t bytes)
{
    return perform(c, method, path, headers, body, bytes) == CURLE_OK ? &c->reply : NULL;
}

const struct http_reply *http_send(struct http_client *c, const char *method, const char *path,
                                   const char *const *headers, const void *body, size_t bytes)
{
    CURLcode code = perform(c, method, path, headers, body, bytes);
    if (code != CURLE_OK)
        fail_msg("%s %s: %s", method, path, curl_easy_strerror(code));
    return &c->reply;
}

const struct http_reply *http_get(struct http_client *c, const char *path)
{
    return http_send(c, "GET", path, NULL, NULL, 0);
}

const struct http_reply *http_post(struct http_client *c, const char *path, const char *json)
{
    const char *const headers[] = {"Content-Type: application/json", NULL};
    return http_send(c, "POST", path, headers, json, strlen(json));
}

const char *http_header(const struct http_reply *r, const char *name, char *out, size_t bytes)
{
    size_t length = strlen(name);
    snprintf(out, bytes, "%s", "");
    for (const char *line = r->headers; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncasecmp(line, name, length) || line[length] != ':')
            continue;
        const char *value = line + length + 1 + strspn(line + length + 1, " ");
        snprintf(out, bytes, "%.*s", (int)strcspn(value, "\r\n"), value);
    }
    return out;
}
