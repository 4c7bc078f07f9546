#include "server/guard.h"

#include <string.h>
#include <strings.h>

/* RFC 9110, 5.6.2: what names of headers and methods are made of. */
static bool is_token(const char *text, size_t bytes)
{
    static const char extra[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && (c == '\0' || !strchr(extra, c)))
            return false;
    }
    return bytes > 0;
}

static bool has_control(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

static bool equals(const char *text, size_t bytes, const char *word)
{
    return strlen(word) == bytes && !strncasecmp(text, word, bytes);
}

static const struct guard_header *find(const struct guard_request *r, const char *name,
                                       size_t *count)
{
    const struct guard_header *found = NULL;
    *count = 0;
    for (size_t i = 0; i < r->headers; i++) {
        if (equals(r->header[i].name, r->header[i].name_bytes, name)) {
            found = &r->header[i];
            ++*count;
        }
    }
    return found;
}

/* ---- the request line ---------------------------------------------------------------------- */

static enum err_kind check_line(const struct guard_request *r, struct err *e)
{
    size_t method = strlen(r->method), target = strlen(r->target);
    if (!is_token(r->method, method) || method > GUARD_METHOD_MAX)
        return err_set(e, ERR_MALFORMED, "", "the method is not one");
    if (strcmp(r->version, "HTTP/1.1") && strcmp(r->version, "HTTP/1.0"))
        return err_set(e, ERR_MALFORMED, "", "the version must be HTTP/1.0 or HTTP/1.1");
    if (target > GUARD_TARGET_MAX)
        return err_set(e, ERR_MALFORMED, "", "the target is over %d bytes", GUARD_TARGET_MAX);
    if (r->target[0] != '/')
        return err_set(e, ERR_MALFORMED, "", "the target must begin with /");
    for (size_t i = 0; i < target; i++)
        if (r->target[i] <= ' ' || r->target[i] > '~')
            return err_set(e, ERR_MALFORMED, "", "the target must be printable ASCII");
    /* No path or query of the API needs escapes, and what is never decoded is never decoded twice.
     */
    if (strchr(r->target, '%'))
        return err_set(e, ERR_MALFORMED, "", "the target must not have %%-escapes");
    return ERR_OK;
}

/* ---- the headers --------------------------------------------------------------------------- */

static enum err_kind check_headers(const struct guard_request *r, struct err *e)
{
    if (r->headers > GUARD_HEADERS_MAX)
        return err_set(e, ERR_MALFORMED, "", "more than %d headers", GUARD_HEADERS_MAX);
    for (size_t i = 0; i < r->headers; i++) {
        const struct guard_header *h = &r->header[i];
        if (!is_token(h->name, h->name_bytes))
            return err_set(e, ERR_MALFORMED, "", "header %zu has no proper name", i + 1);
        if (has_control(h->value, h->value_bytes))
            return err_set(e, ERR_MALFORMED, "", "header %.*s has a control character",
                           (int)h->name_bytes, h->name);
    }
    return ERR_OK;
}

static bool parse_length(const struct guard_header *h, int64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < h->value_bytes; i++) {
        if (h->value[i] < '0' || h->value[i] > '9')
            return false;
        if (i < 18) /* the caller refuses more */
            *out = *out * 10 + (h->value[i] - '0');
    }
    return h->value_bytes > 0;
}

/* How long the body is; RFC 9112, 6.3 without its choices. */
static enum err_kind check_framing(const struct guard_request *r, int64_t *length, struct err *e)
{
    size_t lengths, codings;
    const struct guard_header *cl = find(r, "Content-Length", &lengths);
    const struct guard_header *te = find(r, "Transfer-Encoding", &codings);
    *length = cl || te ? -1 : 0;
    if (te && cl)
        return err_set(e, ERR_MALFORMED, "", "Content-Length beside Transfer-Encoding");
    if (te && (codings > 1 || !equals(te->value, te->value_bytes, "chunked")))
        return err_set(e, ERR_MALFORMED, "", "Transfer-Encoding must be chunked, once");
    if (te && strcmp(r->version, "HTTP/1.1"))
        return err_set(e, ERR_MALFORMED, "", "Transfer-Encoding needs HTTP/1.1");
    if (!cl)
        return ERR_OK;
    int64_t bytes;
    if (lengths > 1 || !parse_length(cl, &bytes))
        return err_set(e, ERR_MALFORMED, "", "Content-Length must be one decimal number");
    if (cl->value_bytes > 18)
        return err_set(e, ERR_TOO_LARGE, "", "a body of %.*s bytes", 40, cl->value);
    *length = bytes;
    return ERR_OK;
}

static enum err_kind check_extras(const struct guard_request *r, struct err *e)
{
    size_t count;
    const struct guard_header *expect = find(r, "Expect", &count);
    if (expect && (count > 1 || !equals(expect->value, expect->value_bytes, "100-continue")))
        return err_set(e, ERR_MALFORMED, "", "Expect can only be 100-continue");
    /* Bodies that grow when unpacked would pass by every limit on their length. */
    if (find(r, "Content-Encoding", &count))
        return err_set(e, ERR_MEDIA_TYPE, "", "a body must come without Content-Encoding");
    return ERR_OK;
}

/* ---- whom it is for ------------------------------------------------------------------------ */

static bool is_listed(const char *list, const char *host, size_t bytes)
{
    while (*list) {
        size_t item = strcspn(list, ",");
        bool any = item == 1 && *list == '*';
        if (any || (item > 0 && item == bytes && !strncasecmp(list, host, bytes)))
            return true;
        list += item + (list[item] == ',');
    }
    return false;
}

/* host: "name", "name:port", "[::1]:port". */
static bool is_served(const struct guard *g, const char *host, size_t bytes)
{
    size_t digits = 0;
    while (digits < bytes && host[bytes - 1 - digits] >= '0' && host[bytes - 1 - digits] <= '9')
        digits++;
    if (digits > 0 && digits < bytes && host[bytes - 1 - digits] == ':')
        bytes -= digits + 1;
    bool bracketed = bytes > 2 && host[0] == '[' && host[bytes - 1] == ']';
    if (bracketed && (equals(host + 1, bytes - 2, "::1") || equals(host + 1, bytes - 2, g->host)))
        return true;
    return equals(host, bytes, "localhost") || equals(host, bytes, "127.0.0.1") ||
           equals(host, bytes, g->host) || is_listed(g->allow, host, bytes);
}

static enum err_kind check_host(const struct guard *g, const struct guard_request *r, struct err *e)
{
    size_t count;
    const struct guard_header *h = find(r, "Host", &count);
    if (count != 1)
        return err_set(e, ERR_MALFORMED, "", "there must be one Host header, not %zu", count);
    if (!is_served(g, h->value, h->value_bytes))
        return err_set(e, ERR_FORBIDDEN, "",
                       "Host \"%.*s\" is not served; gradd --allow-host names further ones",
                       (int)(h->value_bytes < 100 ? h->value_bytes : 100), h->value);
    return ERR_OK;
}

static enum err_kind check_origin(const struct guard *g, const struct guard_request *r,
                                  struct err *e)
{
    size_t count;
    const struct guard_header *h = find(r, "Origin", &count);
    if (!h)
        return ERR_OK;
    size_t scheme = h->value_bytes > 7 && !strncasecmp(h->value, "http://", 7)    ? 7
                    : h->value_bytes > 8 && !strncasecmp(h->value, "https://", 8) ? 8
                                                                                  : 0;
    if (count > 1 || (!scheme && !is_listed(g->allow, "*", 1)) ||
        (scheme && !is_served(g, h->value + scheme, h->value_bytes - scheme)))
        return err_set(e, ERR_FORBIDDEN, "",
                       "pages of \"%.*s\" are not served; gradd --allow-host names further hosts",
                       (int)(h->value_bytes < 100 ? h->value_bytes : 100), h->value);
    return ERR_OK;
}

enum err_kind guard_check(const struct guard *g, const struct guard_request *r, int64_t *length,
                          struct err *e)
{
    *length = -1; /* until it is known: a body may follow */
    enum err_kind rc = check_line(r, e);
    if (!rc)
        rc = check_headers(r, e);
    if (!rc)
        rc = check_framing(r, length, e);
    if (!rc)
        rc = check_host(g, r, e);
    if (!rc)
        rc = check_origin(g, r, e);
    return rc ? rc : check_extras(r, e);
}
