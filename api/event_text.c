/* api/event_text.c - GET events: what a stream says first, and how each event is written. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/events.h"
#include "api/handlers.h"
#include "api/history.h"
#include "api/state.h"

/* ---- events -------------------------------------------------------------------------------- */

/* Of the loss's bits, so that a step that was made anew in another way is told from what a client
 * has seen. A NaN is a NaN. */
uint32_t event_tag(int64_t step, double loss)
{
    uint64_t bits;
    double value = isnan(loss) ? (double)NAN : loss;
    memcpy(&bits, &value, sizeof bits);
    bits = (bits ^ (bits >> 29)) * UINT64_C(0x9e3779b97f4a7c15);
    return step == 0 ? 0 : (uint32_t)(bits >> 32);
}

/* Up to its data. */
static void begin_event(struct json_out *w, const char *name)
{
    w->comma = false;
    json_plain(w, "event: ");
    json_plain(w, name);
    json_plain(w, "\ndata: ");
}

static void end_event(struct json_out *w)
{
    json_plain(w, "\n\n");
}

static void write_id(struct json_out *w, const struct event_state *state)
{
    char line[48];
    snprintf(line, sizeof line, "id: %lld-%08x\n", (long long)state->step,
             (unsigned)event_tag(state->step, state->loss));
    json_plain(w, line);
}

void event_write_step(struct json_out *w, const struct step_event *ev)
{
    const struct event_state *state = ev->state;
    write_id(w, state);
    begin_event(w, "step");
    json_begin_object(w);
    json_key_int(w, "step", state->step);
    json_key(w, "loss");
    if (state->step == 0)
        json_null(w);
    else
        json_real(w, state->dtype, state->loss);
    json_key_string(w, "reduction", state->reduction);
    json_key_int(w, "after", ev->after);
    if (!ev->past) {
        json_key_f64(w, "lr", state->lr);
        json_key_string(w, "state", state->state);
    }
    if (ev->restored)
        json_key_bool(w, "restored", true);
    if (ev->replaced)
        json_key_bool(w, "replaced", true);
    json_end_object(w);
    end_event(w);
}

static void write_text(struct json_out *w, const char *name, const char *text)
{
    begin_event(w, name);
    json_plain(w, text);
    end_event(w);
}

static void write_state(struct stream *s, const struct news *n)
{
    const struct event_state *state = &s->topic->state;
    struct step_event ev = {.state = state, .after = s->after, .replaced = n->replaced};
    if (!n->state)
        return;
    if (n->restored) {
        ev.restored = true;
        ev.after = n->back < s->after ? n->back : s->after;
    }
    event_write_step(&s->text, &ev);
    s->after = state->step;
}

/* What diverged is told behind the state that it left, or before one that came later. */
void stream_write_news(struct stream *s, const struct news *n)
{
    const struct topic *t = s->topic;
    bool left = !strcmp(t->state.state, "diverged");
    if (n->diverged && !left)
        write_text(&s->text, "diverged", t->diverged);
    write_state(s, n);
    if (n->diverged && left)
        write_text(&s->text, "diverged", t->diverged);
    for (size_t i = 0; i < EVENTS_JOBS; i++)
        if (n->jobs & (1u << i))
            write_text(&s->text, "job", t->job[i].text);
    if (n->deleted)
        write_text(&s->text, "deleted", "{}");
}

/* ---- what a stream says first ---------------------------------------------------------------- */

/* The event that a client has seen last. */
struct mark {
    bool given, tagged;
    int64_t step;
    uint32_t tag;
};

/* Digits, and maybe what we put behind them. */
static enum err_kind read_mark(const char *text, struct mark *m, struct err *e)
{
    size_t digits = strspn(text, "0123456789");
    const char *tag = text + digits + 1;
    *m = (struct mark){.given = *text != '\0'};
    if (!m->given)
        return ERR_OK;
    m->tagged = text[digits] == '-';
    bool ends =
        m->tagged ? strlen(tag) == 8 && strspn(tag, "0123456789abcdef") == 8 : !text[digits];
    if (digits < 1 || digits > 18 || !ends)
        return err_set(e, ERR_MALFORMED, "",
                       "Last-Event-ID must be a step, or the id of an event: 41-0123abcd");
    m->step = strtoll(text, NULL, 10);
    m->tag = m->tagged ? (uint32_t)strtoul(tag, NULL, 16) : 0;
    return ERR_OK;
}

/* Is what the client has seen still what has happened? */
static enum err_kind check_mark(struct session *s, const struct mark *m, bool *holds, struct err *e)
{
    struct history one;
    *holds = m->step <= s->step;
    if (!*holds || !m->tagged || m->step == 0)
        return ERR_OK;
    enum err_kind rc = history_read(s, m->step - 1, 1, 0, &one, e);
    if (rc)
        return rc;
    *holds = one.count == 1 && event_tag(m->step, one.loss[0]) == m->tag;
    history_close(&one);
    return ERR_OK;
}

/* The steps between what it has seen and the state as it is now, which is told in any case. */
static enum err_kind write_past(struct json_out *w, struct session *s, struct step_event *now,
                                struct err *e)
{
    struct history h;
    struct event_state state = *now->state;
    struct step_event ev = {.state = &state, .past = true};
    enum err_kind rc = history_read(s, now->after, INT64_MAX, EVENTS_HISTORY, &h, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < h.count && h.step[i] < now->state->step; i++) {
        state.step = h.step[i];
        state.loss = h.loss[i];
        ev.after = now->after;
        ev.restored = now->restored;
        event_write_step(w, &ev);
        now->after = state.step;
        now->restored = false;
    }
    history_close(&h);
    return ERR_OK;
}

static enum err_kind write_opening(struct call *c, const struct event_state *state,
                                   struct json_out *w, struct err *e)
{
    struct step_event now = {.state = state, .after = state->step};
    struct mark mark;
    bool holds;
    enum err_kind rc = read_mark(c->last_event, &mark, e);
    if (!rc && mark.given)
        rc = check_mark(c->session, &mark, &holds, e);
    if (!rc && mark.given) {
        now.after = holds ? mark.step : 0;
        now.restored = !holds;
        rc = write_past(w, c->session, &now, e);
    }
    if (!rc)
        event_write_step(w, &now);
    return rc;
}

/* In line, and all that was changed before is kept by now, or lost. */
static enum err_kind open(struct call *c, struct json_out *text, struct err *e)
{
    struct session *s = c->session;
    store_wait(c->api->store);
    if (atomic_load(&s->lost))
        return err_set(e, ERR_UNAVAILABLE, "", "an earlier change was not kept: try again");
    struct event_state state = events_describe(s, s->training);
    enum err_kind rc = write_opening(c, &state, text, e);
    return rc ? rc : stream_open(c->api, s->id, &state, text, &c->stream, e);
}

enum err_kind get_events(struct call *c, struct err *e)
{
    struct json_out text = {.text = NULL};
    enum err_kind rc = open(c, &text, e);
    json_out_close(&text);
    registry_let_go(&c->api->registry, c->session); /* who looks on does not use it */
    c->session = NULL;
    return rc;
}
