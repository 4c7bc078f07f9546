/* The request guard, as a table: one deviation from a good request a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "server/guard.h"

static const struct guard rules = {.host = "10.1.2.3", .allow = "gradd.example,box"};

/* headers: "Name: value" lines; no Host is added. */
static void fill(struct guard_request *r, const char *method, const char *target,
                 const char *version, const char *headers)
{
    *r = (struct guard_request){.method = method, .target = target, .version = version};
    while (*headers) {
        size_t line = strcspn(headers, "\n"), name = strcspn(headers, ":");
        struct guard_header *h = &r->header[r->headers++];
        assert_true(name < line);
        *h = (struct guard_header){.name = headers, .name_bytes = name};
        h->value = headers + name + 1 + strspn(headers + name + 1, " ");
        h->value_bytes = (size_t)(headers + line - h->value);
        headers += line + (headers[line] == '\n');
    }
}

static enum err_kind check(const char *method, const char *target, const char *version,
                           const char *headers, int64_t *length)
{
    struct guard_request r;
    struct err e = {.kind = ERR_OK};
    fill(&r, method, target, version, headers);
    enum err_kind rc = guard_check(&rules, &r, length, &e);
    assert_int_equal(rc, e.kind);
    assert_true(rc == ERR_OK || *e.message);
    return rc;
}

static void test_lines(void **state)
{
    static const struct {
        const char *method, *target, *version;
        enum err_kind kind;
    } row[] = {
        {"GET", "/", "HTTP/1.1", ERR_OK},
        {"GET", "/", "HTTP/1.0", ERR_OK},
        {"PATCH", "/models/a.b-c_d/losses?after=3&limit=5", "HTTP/1.1", ERR_OK},
        {"brew", "//../;x#~", "HTTP/1.1", ERR_OK}, /* the router's matter */
        {"GET", "/", "HTTP/1.2", ERR_MALFORMED},
        {"GET", "/", "HTTP/2.0", ERR_MALFORMED},
        {"GET", "/", "http/1.1", ERR_MALFORMED},
        {"GET", "/", "", ERR_MALFORMED},
        {"", "/", "HTTP/1.1", ERR_MALFORMED},
        {"G(T", "/", "HTTP/1.1", ERR_MALFORMED},
        {"ABCDEFGHIJKLMNOPQ", "/", "HTTP/1.1", ERR_MALFORMED},
        {"GET", "", "HTTP/1.1", ERR_MALFORMED},
        {"GET", "*", "HTTP/1.1", ERR_MALFORMED},
        {"GET", "http://localhost/", "HTTP/1.1", ERR_MALFORMED},
        {"GET", "/a b", "HTTP/1.1", ERR_MALFORMED},
        {"GET", "/a\tb", "HTTP/1.1", ERR_MALFORMED},
        {"GET", "/a\x7f", "HTTP/1.1", ERR_MALFORMED},
        {"GET", "/\xc3\xa9", "HTTP/1.1", ERR_MALFORMED},
        {"GET", "/%2e%2e", "HTTP/1.1", ERR_MALFORMED},
        {"GET", "/a?b=%00", "HTTP/1.1", ERR_MALFORMED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        int64_t length;
        enum err_kind rc =
            check(row[i].method, row[i].target, row[i].version, "Host: localhost", &length);
        if (rc != row[i].kind)
            fail_msg("%s %s %s: %s", row[i].method, row[i].target, row[i].version, err_slug(rc));
        assert_int_equal(length, rc == ERR_OK ? 0 : -1); /* unknown: a body may follow */
    }
}

static void test_long_target(void **state)
{
    static char target[GUARD_TARGET_MAX + 2] = "/";
    int64_t length;
    (void)state;
    memset(target + 1, 'a', GUARD_TARGET_MAX - 1);
    assert_int_equal(check("GET", target, "HTTP/1.1", "Host: localhost", &length), ERR_OK);
    target[GUARD_TARGET_MAX] = 'a';
    assert_int_equal(check("GET", target, "HTTP/1.1", "Host: localhost", &length), ERR_MALFORMED);
}

static void test_framing(void **state)
{
    static const struct {
        const char *version, *headers;
        enum err_kind kind;
        int64_t length;
    } row[] = {
        {"HTTP/1.1", "", ERR_OK, 0},
        {"HTTP/1.1", "Content-Length: 0", ERR_OK, 0},
        {"HTTP/1.1", "content-LENGTH: 123", ERR_OK, 123},
        {"HTTP/1.1", "Content-Length: 999999999999999999", ERR_OK, 999999999999999999},
        {"HTTP/1.1", "Content-Length: 9999999999999999999", ERR_TOO_LARGE, -1},
        {"HTTP/1.1", "Content-Length: 18446744073709551615", ERR_TOO_LARGE, -1},
        {"HTTP/1.1", "Content-Length: ", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Content-Length: -1", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Content-Length: +1", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Content-Length: 1 ", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Content-Length: 0x10", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Content-Length: 1, 1", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Content-Length: 1\nContent-Length: 1", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Transfer-Encoding: chunked", ERR_OK, -1},
        {"HTTP/1.1", "Transfer-Encoding: Chunked", ERR_OK, -1},
        {"HTTP/1.0", "Transfer-Encoding: chunked", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Transfer-Encoding: gzip", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Transfer-Encoding: gzip, chunked", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Transfer-Encoding: chunked, chunked", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Transfer-Encoding: identity", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Transfer-Encoding: xchunked", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Transfer-Encoding: chunked\nTransfer-Encoding: chunked", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Transfer-Encoding: chunked\nContent-Length: 5", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Content-Length: 5\nTransfer-Encoding: chunked", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Transfer-Encoding : chunked", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Content-Length : 5", ERR_MALFORMED, -1},
        {"HTTP/1.1", "Content-Length: 5\nExpect: 100-continue", ERR_OK, 5},
        {"HTTP/1.1", "Content-Length: 5\nExpect: 200-ok", ERR_MALFORMED, 5},
        {"HTTP/1.1", "Expect: 100-continue\nExpect: 100-continue", ERR_MALFORMED, 0},
        {"HTTP/1.1", "Content-Length: 5\nContent-Encoding: gzip", ERR_MEDIA_TYPE, 5},
        {"HTTP/1.1", "Content-Encoding: identity", ERR_MEDIA_TYPE, 0},
        {"HTTP/1.1", "X-Tab: a\tb", ERR_OK, 0},
        {"HTTP/1.1", "X-Latin: caf\xe9", ERR_OK, 0},
        {"HTTP/1.1", "X-CR: a\rb", ERR_MALFORMED, -1},
        {"HTTP/1.1", "X-Bell: a\a", ERR_MALFORMED, -1},
        {"HTTP/1.1", "X-Del: a\x7f", ERR_MALFORMED, -1},
        {"HTTP/1.1", ": empty", ERR_MALFORMED, -1},
        {"HTTP/1.1", "X Y: z", ERR_MALFORMED, -1},
        {"HTTP/1.1", "X(: z", ERR_MALFORMED, -1},
        {"HTTP/1.1", "X\xe9: z", ERR_MALFORMED, -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char headers[200] = "Host: localhost\n";
        int64_t length;
        strncat(headers, row[i].headers, sizeof headers - sizeof "Host: localhost\n");
        enum err_kind rc = check("POST", "/", row[i].version, headers, &length);
        if (rc != row[i].kind || length != row[i].length)
            fail_msg("%s: %s, length %lld", row[i].headers, err_slug(rc), (long long)length);
    }
}

static void test_nul_in_header(void **state)
{
    static const struct guard_header bad[] = {
        {.name = "X", .value = "a\0b", .name_bytes = 1, .value_bytes = 3},
        {.name = "X\0Y", .value = "a", .name_bytes = 3, .value_bytes = 1},
    };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct guard_request r;
        struct err e;
        int64_t length;
        fill(&r, "GET", "/", "HTTP/1.1", "Host: localhost");
        r.header[r.headers++] = bad[i];
        assert_int_equal(guard_check(&rules, &r, &length, &e), ERR_MALFORMED);
    }
}

static void test_many_headers(void **state)
{
    struct guard_request r;
    struct err e;
    int64_t length;
    (void)state;
    fill(&r, "GET", "/", "HTTP/1.1", "Host: localhost");
    while (r.headers < GUARD_HEADERS_MAX)
        r.header[r.headers++] = (struct guard_header){.name = "X", .value = "", .name_bytes = 1};
    assert_int_equal(guard_check(&rules, &r, &length, &e), ERR_OK);
    r.headers++;
    assert_int_equal(guard_check(&rules, &r, &length, &e), ERR_MALFORMED);
}

static void test_hosts(void **state)
{
    static const struct {
        const char *headers;
        enum err_kind kind;
    } row[] = {
        {"Host: localhost", ERR_OK},
        {"Host: LocalHost:8080", ERR_OK},
        {"Host: 127.0.0.1:1", ERR_OK},
        {"Host: [::1]", ERR_OK},
        {"Host: [::1]:8080", ERR_OK},
        {"Host: 10.1.2.3:8080", ERR_OK},
        {"Host: gradd.example", ERR_OK},
        {"Host: BOX:80", ERR_OK},
        {"", ERR_MALFORMED},
        {"Host: localhost\nHost: localhost", ERR_MALFORMED},
        {"Host: ", ERR_FORBIDDEN},
        {"Host: :8080", ERR_FORBIDDEN},
        {"Host: evil.example", ERR_FORBIDDEN},
        {"Host: localhost.evil.example", ERR_FORBIDDEN},
        {"Host: evil.example:localhost", ERR_FORBIDDEN},
        {"Host: localhost:80:80", ERR_FORBIDDEN},
        {"Host: user@localhost", ERR_FORBIDDEN},
        {"Host: ::1", ERR_FORBIDDEN},
        {"Host: gradd.exampl", ERR_FORBIDDEN},
        {"Host: gradd.example,box", ERR_FORBIDDEN},
        {"Host: *", ERR_FORBIDDEN},
        {"Host: localhost\nOrigin: http://localhost:3000", ERR_OK},
        {"Host: localhost\nOrigin: https://box", ERR_OK},
        {"Host: localhost\nOrigin: http://evil.example", ERR_FORBIDDEN},
        {"Host: localhost\nOrigin: http://", ERR_FORBIDDEN},
        {"Host: localhost\nOrigin: localhost", ERR_FORBIDDEN},
        {"Host: localhost\nOrigin: null", ERR_FORBIDDEN},
        {"Host: localhost\nOrigin: file://localhost", ERR_FORBIDDEN},
        {"Host: localhost\nOrigin: http://box\nOrigin: http://box", ERR_FORBIDDEN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        int64_t length;
        enum err_kind rc = check("GET", "/", "HTTP/1.1", row[i].headers, &length);
        if (rc != row[i].kind)
            fail_msg("%s: %s", row[i].headers, err_slug(rc));
    }
}

static void test_any_host(void **state)
{
    static const struct guard any = {.host = "::", .allow = "*"};
    struct guard_request r;
    struct err e;
    int64_t length;
    (void)state;
    fill(&r, "GET", "/", "HTTP/1.1", "Host: evil.example\nOrigin: null");
    assert_int_equal(guard_check(&any, &r, &length, &e), ERR_OK);
    fill(&r, "GET", "/", "HTTP/1.1", "Host: a\nHost: b");
    assert_int_equal(guard_check(&any, &r, &length, &e), ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),        cmocka_unit_test(test_long_target),
        cmocka_unit_test(test_framing),      cmocka_unit_test(test_nul_in_header),
        cmocka_unit_test(test_many_headers), cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_any_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
