/* Lives at random: whatever a model undergoes, and whenever its daemon is killed, it is as its twin
 * that was never killed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/twins.h"

#define LIVES 40
#define DEEDS 60
#define SMALL "\"inputs\":[[0.5,-1],[2,0.25]],\"targets\":[[1],[-0.5]]}"
#define FAR   "{\"inputs\":[[1e38,-1e38]],\"targets\":[[-1e38]]}"

struct life {
    struct client *c, *twin;
    uint64_t random;
    bool rewinds; /* it goes back, and has no checkpoint that lets the journal go; or else it … */
    bool unsafe;  /* … has no journal now */
    bool ended;   /* as it should */
    char *large;  /* data that is kept as a state */
    FILE *tell;   /* what was done so far, … */
    char *told;   /* … as text */
    size_t length;
};

static unsigned below(struct life *l, unsigned n)
{
    l->random = l->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((l->random >> 33) % n);
}

/* The number of one of its batches; 0: it has none. */
static int any_batch(struct life *l)
{
    char pointer[40];
    const struct reply *r = expect_of(l->c, 200, "GET", "a", "/batches", NULL);
    int batches = cJSON_GetArraySize(at(r, "/batches"));
    if (batches == 0)
        return 0;
    snprintf(pointer, sizeof pointer, "/batches/%u/batch", below(l, (unsigned)batches));
    return (int)number_at(r, pointer);
}

static int step_of(struct life *l)
{
    return (int)number_at(expect_of(l->c, 200, "GET", "a", "", NULL), "/step");
}

/* Chooses a deed; its parts are in rest and body, of 256 bytes each. */
static struct deed choose(struct life *l, char *rest, char *body)
{
    static const char *const bools[] = {"true", "false"};
    static const char *const durabilities[] = {"process", "power", "none"};
    struct deed d = {"POST", rest, body, 0};
    int batch = any_batch(l), step = step_of(l), back = (int)below(l, 12);
    strcpy(rest, "/step");
    switch (below(l, 16)) {
    case 0:
        snprintf(body, 256, "{\"steps\":%u,%s", 1 + below(l, 4), SMALL);
        break;
    case 1:
        d.body = l->large;
        break;
    case 2:
    case 3:
        strcpy(rest, "/backward");
        if (batch && below(l, 2))
            snprintf(body, 256, "{\"batch\":%d}", batch);
        else
            snprintf(body, 256, "{%s", SMALL);
        break;
    case 4:
        strcpy(rest, "/optimizer/step");
        d.body = NULL;
        break;
    case 5:
        strcpy(rest, "/zero_grad");
        d.body = NULL;
        break;
    case 6:
        d.method = "PATCH";
        rest[0] = '\0';
        snprintf(body, 256, "{\"optimizer\":{\"lr\":0.0%u,\"momentum\":0.%u}}", 1 + below(l, 9),
                 below(l, 2) * 9);
        break;
    case 7:
        d.method = "PATCH";
        rest[0] = '\0';
        snprintf(body, 256, "{\"requires_grad\":{\"%s\":%s}}", below(l, 2) ? "0.weight" : "2.bias",
                 bools[below(l, 2)]);
        break;
    case 8:
        d.method = "PUT";
        strcpy(rest, "/parameters/2.bias");
        snprintf(body, 256, "{\"parameters\":{\"2.bias\":{\"data\":[0.%u]}}}", below(l, 100));
        break;
    case 9:
        strcpy(rest, "/batches");
        snprintf(body, 256, "{%s", SMALL);
        break;
    case 10:
        d.method = "DELETE";
        snprintf(rest, 256, "/batches/%d", batch);
        d.body = NULL;
        break;
    case 11:
        if (below(l, 2))
            strcpy(rest, "/backward");
        d.body = FAR;
        break;
    case 12:
        if (l->rewinds) {
            strcpy(rest, "/restore");
            snprintf(body, 256, "{\"step\":%d}", back < step ? step - back : 0);
        } else {
            d.method = "PATCH";
            rest[0] = '\0';
            snprintf(body, 256, "{\"durability\":\"%s\"}", durabilities[below(l, 3)]);
        }
        break;
    case 13:
        snprintf(body, 256, "{\"batch\":%d,\"steps\":%u}", batch, 1 + below(l, 3));
        break;
    default:
        snprintf(body, 256, "{\"steps\":%u}", 1 + below(l, 6));
        break;
    }
    return d;
}

/* Both do it, with whatever answer, which is the same. */
static void do_one(struct life *l)
{
    char rest[256], body[256], target[300];
    struct deed d = choose(l, rest, body);
    l->c->slice_ns = below(l, 3) ? 1000000000 : 0;
    snprintf(target, sizeof target, "/models/a%s", d.rest);
    fprintf(l->tell, "%s %s %.70s\n", d.method, d.rest, d.body ? d.body : "");
    const struct reply *is = ask_plain(l->c, d.method, target, d.body);
    const struct reply *twin = ask_plain(l->twin, d.method, target, d.body);
    if (is->status != twin->status || is->status >= 500)
        fail_msg("%d %s\n%d %s", is->status, is->text, twin->status, twin->text);
    const struct reply *r = expect_of(l->c, 200, "GET", "a", "", NULL);
    l->unsafe = !strcmp(string_at(r, "/durability"), "none");
}

/* What happens to the daemon behind a deed. */
static void happen(struct life *l, int i)
{
    if (l->rewinds ? i == DEEDS / 2 : !below(l, 7)) {
        fprintf(l->tell, "checkpoint\n");
        client_checkpoint(l->c, "a");
    }
    unsigned what = below(l, 12);
    if (what < 2) {
        fprintf(l->tell, "kill\n");
        if (l->unsafe)
            client_checkpoint(l->c, "a");
        client_kill(l->c);
    } else if (what == 2 && !l->rewinds) {
        fprintf(l->tell, "stop\n");
        client_reopen(l->c);
    }
}

static void compare(struct life *l)
{
    static const char *const parts[] = {"/parameters", "/gradients", "/batches", "/losses"};
    const struct reply *r = expect_of(l->c, 200, "GET", "a", "", NULL);
    if (json_find(r->json, "/damage"))
        fail_msg("%s", string_at(r, "/damage"));
    for (int i = 0; i < 4; i++) {
        char target[40];
        snprintf(target, sizeof target, "/models/a%s", parts[i]);
        assert_same_answer(l->c, target, l->twin, target);
    }
}

static void live(struct life *l)
{
    static const char more[] = ",\"optimizer\":{\"type\":\"sgd\",\"lr\":0.05,\"momentum\":0.9}";
    create_net(l->c, "a", more);
    create_net(l->twin, "a", more);
    for (int i = 0; i < DEEDS; i++) {
        do_one(l);
        happen(l, i);
        compare(l);
    }
    l->ended = true;
}

/* *state: the life. */
static int begin(void **state)
{
    static unsigned seed;
    struct life *l = calloc(1, sizeof *l);
    l->random = seed;
    l->rewinds = seed++ % 2;
    l->c = client_new("auto");
    l->twin = client_new("auto");
    l->large = rows_text(6000, "");
    l->tell = open_memstream(&l->told, &l->length);
    *state = l;
    return 0;
}

static int end(void **state)
{
    struct life *l = *state;
    fclose(l->tell);
    if (!l->ended)
        print_message("it went like this:\n%s", l->told);
    client_free(l->c);
    client_free(l->twin);
    free(l->large);
    free(l->told);
    free(l);
    return 0;
}

static void test_a_life(void **state)
{
    live(*state);
}

int main(void)
{
    struct CMUnitTest tests[LIVES];
    for (int i = 0; i < LIVES; i++)
        tests[i] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(test_a_life, begin, end);
    return cmocka_run_group_tests_name("lives", tests, NULL, NULL);
}
