/* PyTorch's answers to programs: every case of tests/data/golden/autograd-*.json, on every
 * instruction set that this machine runs; the answers must be the same text on all of them.
 * tests/data/README.md describes the files; make parity asks PyTorch itself. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/variants.h"

#define GOLDEN "tests/data/golden/"

/* What differs is counted, so that one run shows all of it. */
struct run {
    const cJSON *golden;
    const char *name;
    int different;
};

#define DIFFERS(r, ...)                                                                            \
    do {                                                                                           \
        (r)->different++;                                                                          \
        print_error("%s: ", (r)->name);                                                            \
        print_error(__VA_ARGS__);                                                                  \
        print_error("\n");                                                                         \
    } while (0)

static const cJSON *member(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* "" for what is not there, or no string. */
static const char *text_member(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(member(object, key));
    return text ? text : "";
}

/* ---- texts ------------------------------------------------------------------------------------
 */

static const char *past_address(const char *text)
{
    return text + strspn(text, "0123456789abcdef");
}

/* Where got leaves want; addresses (0x…) count as equal. NULL: it has all of want, and *rest is
 * what follows. */
static const char *leaves(const char *got, const char *want, const char **rest)
{
    while (*want && *got == *want) {
        bool address = got[0] == '0' && got[1] == 'x' && want[1] == 'x';
        got = address ? past_address(got + 2) : got + 1;
        want = address ? past_address(want + 2) : want + 1;
    }
    *rest = got;
    return *want ? got : NULL;
}

static bool same_text(const char *got, const char *want)
{
    const char *rest;
    return !leaves(got, want, &rest) && !*rest;
}

/* The golden file leaves out the C++ signatures that PyTorch lists, and places in its source. */
static bool same_message(const char *got, const char *want)
{
    const char *rest;
    return !leaves(got, want, &rest) && (!*rest || !strncmp(rest, ", but expected one of", 21) ||
                                         !strncmp(rest, " (Triggered internally", 22));
}

/* ---- values -----------------------------------------------------------------------------------
 */

struct numbers {
    double *x;
    size_t count, room;
};

static void gather(const cJSON *item, struct numbers *out)
{
    double x = cJSON_IsTrue(item) ? 1 : 0;
    if (cJSON_IsArray(item)) {
        for (const cJSON *child = item->child; child; child = child->next)
            gather(child, out);
        return;
    }
    if (!cJSON_IsBool(item))
        assert_true(json_real_value(item, &x));
    if (out->count == out->room) {
        out->room = out->room ? 2 * out->room : 16;
        out->x = realloc(out->x, out->room * sizeof *out->x);
        assert_non_null(out->x);
    }
    out->x[out->count++] = x;
}

static double largest(const struct numbers *n)
{
    double most = 0;
    for (size_t i = 0; i < n->count; i++)
        if (isfinite(n->x[i]))
            most = fmax(most, fabs(n->x[i]));
    return most;
}

static bool close_to(double got, double want, double relative, double floor)
{
    if (isnan(want))
        return isnan(got);
    return isinf(want) ? got == want : fabs(got - want) <= relative * fabs(want) + floor;
}

static void compare_numbers(struct run *r, const char *what, const cJSON *got, const cJSON *want,
                            bool exact)
{
    const cJSON *tolerance = member(r->golden, "tolerance");
    struct numbers g = {0}, w = {0};
    gather(got, &g);
    gather(want, &w);
    double relative = exact ? 0 : member(tolerance, "relative")->valuedouble;
    double floor = exact ? 0 : member(tolerance, "share")->valuedouble * largest(&w);
    if (g.count != w.count)
        DIFFERS(r, "%s has %zu numbers, should have %zu", what, g.count, w.count);
    for (size_t i = 0; i < g.count && g.count == w.count; i++)
        if (!close_to(g.x[i], w.x[i], relative, floor)) {
            DIFFERS(r, "%s[%zu] is %.17g, should be %.17g", what, i, g.x[i], w.x[i]);
            break;
        }
    free(g.x);
    free(w.x);
}

static void compare_member(struct run *r, const char *what, const cJSON *got, const cJSON *want,
                           const char *key)
{
    if (cJSON_Compare(member(got, key), member(want, key), true))
        return;
    char *g = json_text(member(got, key)), *w = json_text(member(want, key));
    DIFFERS(r, "%s of %s is %s, should be %s", key, what, g, w);
    free(g);
    free(w);
}

static void compare_values(struct run *r, const cJSON *got)
{
    const cJSON *values = member(r->golden, "values");
    for (const cJSON *w = values ? values->child : NULL; w; w = w->next) {
        const cJSON *g = member(got, w->string);
        if (!g || cJSON_IsNull(g) != cJSON_IsNull(w))
            DIFFERS(r, "%s: one is null", w->string);
        if (!cJSON_IsObject(g) || !cJSON_IsObject(w))
            continue;
        static const char *const keys[] = {"dtype", "shape", "requires_grad", "grad_fn"};
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            compare_member(r, w->string, g, w, keys[i]);
        compare_numbers(r, w->string, member(g, "data"), member(w, "data"),
                        strncmp(text_member(w, "dtype"), "float", 5) != 0);
    }
}

/* ---- the graph --------------------------------------------------------------------------------
 */

struct graph {
    const cJSON *nodes, *edges;
    int *met; /* of each node: the how-manieth it was, from 1; 0: not yet */
    int count;
};

/* Name(inputs…), depth first; a node that is met again is #n, the n-th that was met. */
static void write_node(FILE *out, struct graph *g, int id)
{
    bool any = false;
    if (g->met[id]) {
        fprintf(out, "#%d", g->met[id] - 1);
        return;
    }
    g->met[id] = ++g->count;
    fputs(text_member(cJSON_GetArrayItem(g->nodes, id), "name"), out);
    for (const cJSON *e = g->edges->child; e; e = e->next) {
        if (member(e, "from")->valueint != id)
            continue;
        fputs(any ? "," : "(", out);
        any = true;
        write_node(out, g, member(e, "to")->valueint);
    }
    if (any)
        fputs(")", out);
}

static char *node_text(struct graph *g, int id)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    memset(g->met, 0, (size_t)cJSON_GetArraySize(g->nodes) * sizeof *g->met);
    g->count = 0;
    write_node(out, g, id);
    fclose(out);
    return text;
}

static bool is_root(const struct graph *g, int id)
{
    for (const cJSON *e = g->edges->child; e; e = e->next)
        if (member(e, "to")->valueint == id)
            return false;
    return true;
}

static bool listed(const cJSON *texts, const char *text)
{
    for (const cJSON *t = texts->child; t; t = t->next)
        if (!strcmp(t->valuestring, text))
            return true;
    return false;
}

/* The text of each root must be in the golden list, and there must be as many. */
static void compare_graph(struct run *r, const cJSON *got)
{
    const cJSON *want = member(r->golden, "graph");
    struct graph g = {.nodes = member(got, "nodes"), .edges = member(got, "edges")};
    if (!want)
        return;
    assert_true(cJSON_IsArray(g.nodes) && cJSON_IsArray(g.edges));
    int nodes = cJSON_GetArraySize(g.nodes), roots = 0;
    g.met = calloc((size_t)nodes + 1, sizeof *g.met);
    assert_non_null(g.met);
    for (int id = 0; id < nodes; id++) {
        if (!is_root(&g, id))
            continue;
        char *text = node_text(&g, id);
        if (!listed(want, text))
            DIFFERS(r, "the graph has %s", text);
        free(text);
        roots++;
    }
    if (roots != cJSON_GetArraySize(want))
        DIFFERS(r, "the graph has %d roots, should have %d", roots, cJSON_GetArraySize(want));
    free(g.met);
}

/* ---- a case -----------------------------------------------------------------------------------
 */

static void compare_error(struct run *r, const struct reply *reply)
{
    const cJSON *want = member(r->golden, "error");
    const char *detail = text_member(reply->json, "detail");
    if (!want) {
        if (reply->status != 200)
            DIFFERS(r, "%d: %s", reply->status, reply->text);
        return;
    }
    if (reply->status != 422 || !same_message(detail, text_member(want, "message")))
        DIFFERS(r, "%d: says \"%s\", should say \"%s\"", reply->status, detail,
                text_member(want, "message"));
    compare_member(r, "the error", reply->json, want, "line");
}

static void compare_warnings(struct run *r, const struct reply *reply)
{
    const cJSON *got = member(reply->json, "warnings"), *want = member(r->golden, "warnings");
    const cJSON *g = got ? got->child : NULL, *w = want ? want->child : NULL;
    if (!want)
        return;
    for (; g && w; g = g->next, w = w->next)
        if (!same_message(text_member(g, "message"), w->valuestring))
            DIFFERS(r, "warns \"%s\", should warn \"%s\"", text_member(g, "message"),
                    w->valuestring);
    if (g || w)
        DIFFERS(r, "warns %s", g ? "too often" : "too seldom");
}

static const struct reply *run_case(struct client *c, struct run *r)
{
    char *body = json_text(member(r->golden, "request"));
    const struct reply *reply = ask_plain(c, "POST", "/autograd", body);
    free(body);
    compare_error(r, reply);
    compare_warnings(r, reply);
    const char *out = text_member(reply->json, "stdout"), *want = text_member(r->golden, "stdout");
    if (!same_text(out, want))
        DIFFERS(r, "prints\n%sshould print\n%s", out, want);
    if (reply->status == 200) {
        compare_values(r, member(reply->json, "values"));
        compare_graph(r, member(reply->json, "graph"));
    }
    return reply;
}

static void run_file(void **state, const char *path)
{
    const struct variants *v = *state;
    cJSON *cases = json_file(path);
    int failed = 0;
    assert_true(cJSON_GetArraySize(cases) > 0);
    for (const cJSON *golden = cases->child; golden; golden = golden->next) {
        struct run r = {.golden = golden, .name = text_member(golden, "name")};
        const struct reply *first = run_case(v->client[0], &r);
        for (int i = 1; i < v->count; i++) {
            struct run again = {.golden = golden, .name = r.name};
            const struct reply *other = run_case(v->client[i], &again);
            if (!same_text(other->text, first->text))
                DIFFERS(&r, "other bits on %s than on %s", api_isa(v->client[i]->api),
                        api_isa(v->client[0]->api));
        }
        failed += r.different > 0;
    }
    cJSON_Delete(cases);
    if (failed)
        fail_msg("%d cases of %s differ", failed, path);
}

static void test_programs(void **state)
{
    run_file(state, GOLDEN "autograd-programs.json");
}

static void test_ops(void **state)
{
    run_file(state, GOLDEN "autograd-ops.json");
}

static void test_random(void **state)
{
    run_file(state, GOLDEN "autograd-random.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_ops),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, variants_setup, variants_teardown);
}
