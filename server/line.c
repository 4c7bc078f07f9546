#include "server/line.h"

#include <assert.h>
#include <string.h>

#include "engine/mem.h"

/* FNV-1a, begun at the table's address: a client cannot know which ids share a bucket. */
static struct line **bucket_of(struct lines *l, const char *id)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)(uintptr_t)l;
    for (; *id; id++)
        hash = (hash ^ (unsigned char)*id) * UINT64_C(0x100000001b3);
    return &l->bucket[(hash ^ hash >> 32) % LINE_BUCKETS];
}

struct line *lines_open(struct lines *l, const char *id)
{
    struct line **bucket = bucket_of(l, id);
    for (struct line *line = *bucket; line; line = line->next)
        if (!strcmp(line->id, id))
            return line;
    size_t bytes = strlen(id) + 1;
    struct line *line = mem_array(1, sizeof *line + bytes);
    if (!line)
        return NULL;
    memcpy(line->id, id, bytes);
    line->turn.line = line;
    line->next = *bucket;
    *bucket = line;
    return line;
}

void lines_release(struct lines *l, struct line *line)
{
    if (line->calls > 0)
        return;
    assert(!line->in_round && !line->change.head && !line->between.head);
    struct line **at = bucket_of(l, line->id);
    while (*at != line)
        at = &(*at)->next;
    *at = line->next;
    mem_free(line);
}

static void fifo_push(struct fifo *f, struct job *job)
{
    job->next = NULL;
    if (f->head)
        f->tail->next = job;
    else
        f->head = job;
    f->tail = job;
}

void line_push(struct line *line, struct job *job)
{
    fifo_push(job->between ? &line->between : &line->change, job);
    line->waiting_between += job->between;
}

struct job *line_first(const struct line *line)
{
    assert(line_is_waiting(line));
    if (line->between.head && (line->let_in > 0 || !line->change.head))
        return line->between.head;
    return line->change.head;
}

/* At the end of a change's slice everybody who then waits to be let in goes first; who comes
 * later waits for the next slice, so that readers in between cannot starve a long call. */
void line_after(struct line *line, struct job *job, bool finished)
{
    struct fifo *f = job->between ? &line->between : &line->change;
    assert(f->head == job);
    if (!job->between)
        line->let_in = line->waiting_between;
    if (!finished)
        return;
    f->head = job->next;
    if (job->between) {
        line->waiting_between--;
        line->let_in -= line->let_in > 0;
    }
}

bool line_is_waiting(const struct line *line)
{
    return line->change.head || line->between.head;
}

void round_push(struct round *r, struct turn *turn)
{
    turn->next = NULL;
    if (r->head)
        r->tail->next = turn;
    else
        r->head = turn;
    r->tail = turn;
}

void round_push_first(struct round *r, struct turn *turn)
{
    turn->next = r->head;
    r->head = turn;
    if (!turn->next)
        r->tail = turn;
}

struct turn *round_take(struct round *r)
{
    struct turn *turn = r->head;
    if (turn)
        r->head = turn->next;
    return turn;
}
