#include "tests/api/listener.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/state.h"

static void on_wake(void *arg)
{
    struct listener *l = arg;
    l->wakes++;
}

static bool has_left(void *arg)
{
    const struct listener *l = arg;
    return l->left;
}

/* false: it has an answer already. */
static bool begin(struct call *call, const char *id, const char *last)
{
    char target[100];
    snprintf(target, sizeof target, "/models/%s/events", id);
    return call_target(call, "GET", target) &&
           (!last || call_header(call, "Last-Event-ID", last)) && call_admit(call, 0);
}

static struct call *answered(struct client *c, const char *id, const char *last)
{
    struct call *call = call_new(c->api);
    assert_non_null(call);
    if (begin(call, id, last))
        assert_true(client_slice(c, call));
    return call;
}

void listen_to(struct client *c, struct listener *l, const char *id, const char *last)
{
    *l = (struct listener){.client = c, .call = answered(c, id, last)};
    const struct answer *a = call_answer(l->call);
    if (a->status != 200)
        fail_msg("%d: %.*s", a->status, (int)a->bytes, a->body);
    assert_string_equal(a->header[0], "Content-Type");
    assert_string_equal(a->header[1], "text/event-stream");
    l->stream = call_stream(l->call);
    assert_non_null(l->stream);
    stream_listen(l->stream, &(struct stream_owner){.wake = on_wake, .gone = has_left, .arg = l});
}

const struct reply *refused_to_listen(struct client *c, const char *id, const char *last)
{
    struct call *call = answered(c, id, last);
    assert_null(call_stream(call));
    return client_finish(c, call);
}

/* One event's lines, up to the empty one. */
static void take(struct listener *l, char *block)
{
    assert_true(l->events < LISTENER_EVENTS);
    struct heard *h = &l->event[l->events];
    bool event = false;
    *h = (struct heard){.name = ""};
    for (char *rest, *line = strtok_r(block, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        event = event || line[0] != ':';
        if (!strncmp(line, "event: ", 7))
            snprintf(h->name, sizeof h->name, "%s", line + 7);
        else if (!strncmp(line, "id: ", 4))
            snprintf(h->id, sizeof h->id, "%s", line + 4);
        else if (!strncmp(line, "data: ", 6))
            snprintf(h->data, sizeof h->data, "%s", line + 6);
        else
            assert_string_equal(line, ":");
    }
    l->events += event;
    l->comments += !event;
}

static void take_all(struct listener *l, char *text)
{
    for (char *end; (end = strstr(text, "\n\n")) != NULL; text = end + 2) {
        *end = '\0';
        take(l, text);
    }
    assert_string_equal(text, ""); /* only whole events come */
}

enum stream_progress hear(struct listener *l)
{
    static char text[1 << 18];
    size_t got = 0, bytes;
    enum stream_progress how;
    l->events = l->comments = 0;
    while ((how = stream_read(l->stream, text + got, 7, &bytes)) == STREAM_TEXT) {
        assert_true(bytes > 0);
        got += bytes;
        assert_true(got < sizeof text - 8);
    }
    text[got] = '\0';
    take_all(l, text);
    if (how == STREAM_QUIET)
        assert_true(stream_sleep(l->stream));
    return how;
}

enum stream_progress hear_news(struct listener *l)
{
    events_round(&l->client->api->events, 0);
    return hear(l);
}

void stop_listening(struct listener *l)
{
    call_free(l->call);
    l->stream = NULL;
}

const char *heard_member(const struct listener *l, int i, const char *name)
{
    static char out[4][200];
    static int turn;
    char *text = out[turn++ % 4];
    cJSON *json = cJSON_Parse(l->event[i].data);
    assert_non_null(json);
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    char *printed = item ? json_text(item) : NULL;
    snprintf(text, sizeof out[0], "%s", printed ? printed : "");
    free(printed);
    cJSON_Delete(json);
    return text;
}

void assert_step(const struct listener *l, int i, int64_t step, int64_t after)
{
    assert_true(i < l->events);
    assert_string_equal(l->event[i].name, "step");
    assert_int_equal(atoll(heard_member(l, i, "step")), step);
    assert_int_equal(atoll(heard_member(l, i, "after")), after);
    assert_int_equal(atoll(l->event[i].id), step);
    assert_int_equal(strlen(strchr(l->event[i].id, '-')), 9);
}
