#include "server/pool.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "engine/lock.h"
#include "engine/mem.h"
#include "server/clock.h"

struct worker { /* [I] */
    struct pool *pool;
    struct scratch *scratch;
    pthread_t thread;
};

/* An errand of somebody who runs a call; on the stack of who gives it. [p] */
struct help {
    struct help *next;
    struct errand *errand;
    atomic_size_t helpers; /* workers that are at a part of it; changed under the lock */
};

/* How long who has just helped looks for the next errand, and who has given one for the end of its
 * last part, before they sleep. The products of a training step follow each other closely, and to
 * wake a thread takes some 10 to 70 us. */
#define LOITER_NS 50000

/* [I] set before the workers start  [p] guarded by lock */
struct pool {
    struct crew crew; /* [I] the first member: a crew is its pool */
    struct api *api;  /* [I] */
    struct lock lock;
    pthread_cond_t work;       /* [p] a turn waits, or help is wanted, or stopping */
    pthread_cond_t helped;     /* [p] the last helper of some errand has left it */
    pthread_cond_t all_kept;   /* [p] unkept is 0 */
    struct pool_config config; /* [I] */
    struct worker *worker;     /* [I] */
    size_t started;            /* [p] threads to join */
    struct scratch **spare;    /* [p] of those who run jobs here; config.here places */
    size_t spares;             /* [p] */
    struct lines lines;        /* [p] */
    struct lines groups;       /* [p] of calls that wait to be run together */
    struct round round;        /* [p] */
    struct help *help;         /* [p] errands with parts that nobody may have begun */
    size_t idle;               /* [p] workers that wait for work */
    atomic_size_t news;        /* turns, errands and stops so far; changed under the lock */
    size_t calls;              /* [p] reserved, queued and running */
    size_t own;                /* [p] of these, the daemon's own, which count in no bound */
    atomic_size_t queued;      /* changed under the lock; read by those who run a slice */
    size_t running;            /* [p] */
    /* answered, but their changes are on the way to the store; becomes 0 under the lock alone */
    atomic_size_t unkept;
    atomic_int_least64_t light_ns; /* when a light call last ran here; on clock_ns */
    uint64_t done;                 /* [p] */
    bool stopping;                 /* [p] */
};

/* ---- entering and leaving: the counts ------------------------------------------------------ */

/* bounded: internal calls come in whatever waits. */
static enum err_kind enter(struct pool *p, struct job *job, bool bounded, struct err *e)
    REQUIRES(p->lock)
{
    enum call_mode mode = call_mode(job->call);
    assert(mode != CALL_INLINE);
    if (p->stopping)
        return err_set(e, ERR_UNAVAILABLE, "", "the daemon is stopping");
    if (bounded && p->calls - p->own >= p->config.calls)
        return err_set(e, ERR_UNAVAILABLE, "", "%zu calls wait already", p->calls);
    job->line = NULL;
    job->own = !bounded;
    job->here = false;
    job->between = mode == CALL_BETWEEN;
    job->turn = (struct turn){.job = job};
    if (mode != CALL_READ) {
        struct line *line = lines_open(&p->lines, call_model(job->call));
        if (!line)
            return err_set(e, ERR_NOMEM, "", "no memory for the model's line");
        if (bounded && line->calls - line->own >= p->config.line_calls)
            return err_set(e, ERR_BUSY, "", "%zu calls of this model wait already",
                           line->calls - line->own);
        line->calls++;
        line->own += job->own;
        job->line = line;
    }
    p->calls++;
    p->own += job->own;
    return ERR_OK;
}

/* job is in no queue any more. */
static void leave(struct pool *p, struct job *job) REQUIRES(p->lock)
{
    p->calls--;
    p->own -= job->own;
    if (job->line) {
        job->line->calls--;
        job->line->own -= job->own;
        lines_release(&p->lines, job->line);
    }
}

/* There is work for so many workers. */
static void tell(struct pool *p, size_t workers) REQUIRES(p->lock)
{
    atomic_fetch_add(&p->news, 1);
    for (size_t i = 0; i < p->idle && i < workers; i++)
        pthread_cond_signal(&p->work);
}

/* NULL: it has none, or no memory for it; it runs alone then. */
static struct line *open_group(struct pool *p, const struct job *job) REQUIRES(p->lock)
{
    const char *id = call_group(job->call);
    struct line *group = *id ? lines_open(&p->groups, id) : NULL;
    if (group) {
        group->together = true;
        group->calls++;
    }
    return group;
}

/* The next one that waits in a group with a turn; it lives as long as it has any. */
static struct job *leave_group(struct line *group)
{
    struct job *job = line_first(group);
    line_after(group, job, true);
    group->calls--;
    return job;
}

static void give_turn(struct pool *p, struct job *job) REQUIRES(p->lock)
{
    struct line *line = job->line ? job->line : open_group(p, job);
    if (line)
        line_push(line, job);
    p->queued++;
    if (!line || !line->in_round) {
        round_push(&p->round, line ? &line->turn : &job->turn);
        if (line)
            line->in_round = true;
        tell(p, 1);
    }
}

enum err_kind pool_reserve(struct pool *p, struct job *job, struct err *e)
{
    lock_take(&p->lock);
    enum err_kind rc = enter(p, job, true, e);
    lock_give(&p->lock);
    return rc;
}

/* ---- refusing ------------------------------------------------------------------------------ */

/* A job that still waits, taken out; NULL: none is left. */
static struct job *take_waiting(struct pool *p) REQUIRES(p->lock)
{
    struct turn *turn = p->round.head;
    if (!turn)
        return NULL;
    struct line *line = turn->line;
    bool together = line && line->together;
    struct job *job = together ? leave_group(line) : line ? line_first(line) : turn->job;
    if (line && !together)
        line_after(line, job, true);
    if (!line || !line_is_waiting(line)) {
        round_take(&p->round);
        if (line)
            line->in_round = false;
    }
    if (together)
        lines_release(&p->groups, line);
    p->queued--;
    leave(p, job);
    return job;
}

/* Once the workers are gone, nobody else tells the jobs that wait. */
static void refuse_if_stopping(struct pool *p) REQUIRES(p->lock)
{
    struct job *job;
    while (p->stopping && p->started == 0 && (job = take_waiting(p)) != NULL) {
        lock_give(&p->lock);
        job->done(job, false);
        lock_take(&p->lock);
    }
}

/* ---- running here ---------------------------------------------------------------------------- */

/* Long enough for a light call; what is not done then needs a worker. */
#define HERE_SLICE_NS 50000

/* Would it keep nobody waiting who wants something light? Then it need not be as light: a
 * hand-over, and workers beside the threads here on the same cores, cost a quarter as much again.
 * With more workers than threads here these could not have all cores busy. */
static bool is_unhurried(struct pool *p, const struct job *job, enum pool_clients clients)
    REQUIRES(p->lock)
{
    if (clients == POOL_ALONE && p->calls == 1) /* that is the job itself */
        return true;
    return clients != POOL_MANY && job->line && p->config.here >= p->config.workers &&
           clock_ns() - atomic_load(&p->light_ns) > p->config.hurried_ns;
}

/* The line goes on with whoever waits in it. */
static void pass_on(struct pool *p, struct line *line) REQUIRES(p->lock)
{
    line->in_round = line_is_waiting(line);
    if (line->in_round) {
        round_push(&p->round, &line->turn);
        tell(p, 1);
    }
}

/* Takes a job that holds its line out of the pool. */
static void finish_here(struct pool *p, struct job *job) REQUIRES(p->lock)
{
    if (job->line) {
        line_after(job->line, job, true);
        pass_on(p, job->line);
    }
    leave(p, job);
}

/* Takes what it needs to run job here; NULL: somebody is before it. */
static struct scratch *enter_here(struct pool *p, struct job *job) REQUIRES(p->lock)
{
    struct line *line = job->line;
    if (p->stopping || p->spares == 0 || (line && (line->in_round || line_is_waiting(line))))
        return NULL;
    if (line) {
        line_push(line, job);
        line->in_round = true;
    }
    job->here = true;
    p->running++;
    return p->spare[--p->spares];
}

static enum pool_here work_here(struct pool *p, struct job *job, struct scratch *scratch,
                                bool unhurried)
{
    if (call_is_light(job->call, false))
        atomic_store(&p->light_ns, clock_ns());
    else if (!unhurried || !call_is_light(job->call, true))
        return POOL_DECLINED;
    switch (call_work(job->call, scratch, HERE_SLICE_NS)) {
    case CALL_ANSWERED:
        return POOL_ANSWERED;
    case CALL_AGAIN:
        return POOL_DECLINED;
    case CALL_UNKEPT:
        break;
    }
    return POOL_UNKEPT;
}

enum pool_here pool_run_here(struct pool *p, struct job *job, enum pool_clients clients)
{
    lock_take(&p->lock);
    bool unhurried = is_unhurried(p, job, clients);
    struct scratch *scratch = enter_here(p, job);
    lock_give(&p->lock);
    if (!scratch)
        return POOL_DECLINED;
    enum pool_here how = work_here(p, job, scratch, unhurried);
    lock_take(&p->lock);
    p->spare[p->spares++] = scratch;
    p->running--;
    p->done += how != POOL_DECLINED;
    p->unkept += how == POOL_UNKEPT;
    if (how == POOL_ANSWERED)
        finish_here(p, job);
    refuse_if_stopping(p);
    lock_give(&p->lock);
    return how;
}

/* ---- keeping ------------------------------------------------------------------------------- */

/* Hundreds of jobs leave with a commit, while others want the lock: only the last one takes it. */
static void tell_kept(struct pool *p, struct job *job)
{
    job->done(job, true);
    size_t n = atomic_load(&p->unkept);
    while (n > 1 && !atomic_compare_exchange_weak(&p->unkept, &n, n - 1))
        continue;
    if (n > 1)
        return;
    lock_take(&p->lock);
    if (atomic_fetch_sub(&p->unkept, 1) == 1)
        pthread_cond_broadcast(&p->all_kept);
    lock_give(&p->lock);
}

/* It has left its line, or is kept. Is that the last of the two? Then it can be told. */
static bool is_over(struct job *job)
{
    return atomic_fetch_sub(&job->ends, 1) == 1;
}

/* On the store's thread, or that of call_keep. */
static void on_kept(void *arg)
{
    struct job *job = arg;
    struct pool *p = job->pool;
    if (is_over(job))
        tell_kept(p, job);
}

/* Sends the change to the store while the job still holds its line, so that changes are kept in the
 * order in which they were made. */
static void send(struct pool *p, struct job *job)
{
    job->pool = p;
    atomic_store(&job->ends, 2);
    call_keep(job->call, on_kept, job);
}

void pool_keep(struct pool *p, struct job *job)
{
    send(p, job);
    lock_take(&p->lock);
    finish_here(p, job);
    lock_give(&p->lock);
    if (is_over(job))
        tell_kept(p, job);
}

/* A job that was begun here goes on as the first of its line. */
static void go_on(struct pool *p, struct job *job) REQUIRES(p->lock)
{
    p->queued++;
    round_push(&p->round, job->line ? &job->line->turn : &job->turn);
    tell(p, 1);
}

void pool_commit(struct pool *p, struct job *job)
{
    lock_take(&p->lock);
    bool refused = p->stopping;
    if (refused && job->here)
        finish_here(p, job);
    else if (refused)
        leave(p, job);
    else if (job->here && !*call_group(job->call)) /* what has a group was not begun */
        go_on(p, job);
    else
        give_turn(p, job);
    if (refused)
        refuse_if_stopping(p);
    lock_give(&p->lock);
    if (refused)
        job->done(job, false);
}

/* ---- errands (engine/crew.h) --------------------------------------------------------------- */

/* While x has that value, but not for long. false: it still has it. */
static bool loiter(const atomic_size_t *x, size_t value)
{
    int64_t end = clock_ns() + LOITER_NS;
    while (atomic_load_explicit(x, memory_order_relaxed) == value)
        if (clock_ns() >= end)
            return false;
    return true;
}

/* Nobody needs to look at h any more. */
static void close_help(struct pool *p, const struct help *h) REQUIRES(p->lock)
{
    struct help **at = &p->help;
    while (*at && *at != h)
        at = &(*at)->next;
    if (*at)
        *at = h->next;
}

/* Does a part of it; one only, for a turn may have come meanwhile. */
static void help(struct pool *p, struct help *h, struct scratch *scratch) REQUIRES(p->lock)
{
    h->helpers++;
    lock_give(&p->lock);
    void *workspace = scratch_workspace(scratch);
    bool more = workspace && errand_part(h->errand, true, workspace);
    lock_take(&p->lock);
    if (!more)
        close_help(p, h);
    if (--h->helpers == 0)
        pthread_cond_broadcast(&p->helped);
}

static void run_errand(struct crew *c, struct errand *e, void *workspace)
{
    struct pool *p = (struct pool *)c;
    struct help h = {.errand = e};
    lock_take(&p->lock);
    h.next = p->help;
    p->help = &h;
    tell(p, e->parts - 1);
    lock_give(&p->lock);
    while (errand_part(e, false, workspace))
        ;
    for (size_t n = 1; n > 0 && loiter(&h.helpers, n);)
        n = atomic_load(&h.helpers);
    lock_take(&p->lock);
    close_help(p, &h);
    while (h.helpers > 0)
        lock_wait(&p->lock, &p->helped);
    lock_give(&p->lock);
}

struct crew *pool_crew(struct pool *p)
{
    return &p->crew;
}

/* ---- the workers --------------------------------------------------------------------------- */

/* helped: it may well be wanted again at once. */
static void wait_for_work(struct pool *p, bool helped) REQUIRES(p->lock)
{
    size_t news = atomic_load(&p->news);
    if (helped) {
        lock_give(&p->lock);
        loiter(&p->news, news);
        lock_take(&p->lock);
    }
    if (atomic_load(&p->news) != news)
        return;
    p->idle++;
    lock_wait(&p->lock, &p->work);
    p->idle--;
}

/* Books what a slice of job led to, and lines its turn up again. */
static void after_slice(struct pool *p, struct turn *turn, struct job *job, bool finished)
    REQUIRES(p->lock)
{
    struct line *line = turn->line;
    p->running--;
    if (line) {
        line_after(line, job, finished);
        line->in_round = line_is_waiting(line);
    }
    if (line ? line->in_round : !finished)
        round_push(&p->round, turn);
    if (finished) {
        p->done++;
        leave(p, job); /* frees an empty line, and its turn with it */
    } else {
        p->queued++;
    }
}

/* Answered, and maybe gone once the lock is given. */
static void end_slice(struct pool *p, struct job *job, bool unkept) REQUIRES(p->lock)
{
    lock_give(&p->lock);
    if (!unkept)
        job->done(job, true);
    else if (is_over(job))
        tell_kept(p, job);
    else
        api_flush(p->api);
    pool_submit_jobs(p); /* the call may have made one */
    lock_take(&p->lock);
}

static void run_slice(struct pool *p, struct turn *turn, struct scratch *scratch) REQUIRES(p->lock)
{
    struct job *job = turn->line ? line_first(turn->line) : turn->job;
    p->queued--;
    p->running++;
    lock_give(&p->lock);
    enum call_progress progress = call_work(job->call, scratch, p->config.slice_ns);
    bool unkept = progress == CALL_UNKEPT;
    lock_take(&p->lock);
    p->unkept += unkept;
    if (unkept) {
        lock_give(&p->lock);
        send(p, job);
        lock_take(&p->lock);
    }
    after_slice(p, turn, job, progress != CALL_AGAIN);
    if (progress != CALL_AGAIN)
        end_slice(p, job, unkept);
}

/* ---- together ------------------------------------------------------------------------------ */

/* What calls that are run together may hold: a slice's work, or one call's. */
#define TOGETHER_BYTES ((size_t)256 << 10)

/* The turn of a group that was taken, for those that still wait: at once for those that waited when
 * it came, as if each had a turn of its own; then at the round's end. */
static void give_next_turn(struct pool *p, struct line *group) REQUIRES(p->lock)
{
    group->in_round = line_is_waiting(group);
    if (!group->in_round)
        return;
    if (group->due > 0)
        round_push_first(&p->round, &group->turn);
    else
        round_push(&p->round, &group->turn);
    tell(p, 1);
}

/* Takes calls out of a group whose turn was taken. Returns how many. */
static size_t take_together(struct pool *p, struct line *group, struct job **job) REQUIRES(p->lock)
{
    size_t count = 0, bytes = 0;
    if (group->due == 0)
        group->due = group->calls;
    do {
        job[count] = leave_group(group);
        bytes += call_bytes(job[count++]->call);
    } while (count < CALLS_TOGETHER_MAX && line_is_waiting(group) &&
             bytes + call_bytes(line_first(group)->call) <= TOGETHER_BYTES);
    group->due -= count < group->due ? count : group->due;
    give_next_turn(p, group);
    lines_release(&p->groups, group);
    return count;
}

static void run_together(struct pool *p, struct line *group, struct scratch *scratch)
    REQUIRES(p->lock)
{
    struct job *job[CALLS_TOGETHER_MAX];
    struct call *call[CALLS_TOGETHER_MAX];
    size_t count = take_together(p, group, job);
    p->queued -= count;
    p->running += count;
    lock_give(&p->lock);
    for (size_t i = 0; i < count; i++)
        call[i] = job[i]->call;
    call_work_together(call, count, scratch, p->config.slice_ns);
    lock_take(&p->lock);
    p->running -= count;
    p->done += count;
    for (size_t i = 0; i < count; i++)
        leave(p, job[i]);
    lock_give(&p->lock);
    for (size_t i = 0; i < count; i++)
        job[i]->done(job[i], true);
    lock_take(&p->lock);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    bool helped = false; /* just now */
    lock_take(&p->lock);
    while (!p->stopping) {
        struct turn *turn = round_take(&p->round);
        bool helps = !turn && p->help;
        if (turn && turn->line && turn->line->together)
            run_together(p, turn->line, w->scratch);
        else if (turn)
            run_slice(p, turn, w->scratch);
        else if (helps)
            help(p, p->help, w->scratch);
        else
            wait_for_work(p, helped);
        helped = helps;
    }
    lock_give(&p->lock);
    mem_let_go();
    return NULL;
}

/* ---- internal calls ------------------------------------------------------------------------ */

static void free_internal(struct job *job, bool ran)
{
    struct pool *p = job->pool;
    (void)ran;
    call_free(job->call);
    mem_free(job);
    pool_submit_jobs(p);
}

/* false: it is not in the pool, and gone. */
static bool submit(struct pool *p, struct call *call)
{
    struct err e;
    struct job *job = mem_array(1, sizeof *job);
    bool entered = false;
    if (job) {
        *job = (struct job){.call = call, .done = free_internal, .pool = p};
        lock_take(&p->lock);
        entered = !enter(p, job, false, &e);
        if (entered)
            give_turn(p, job);
        lock_give(&p->lock);
    }
    if (entered)
        return true;
    call_free(call);
    mem_free(job);
    return false;
}

void pool_submit(struct pool *p, struct call *call)
{
    (void)submit(p, call); /* it will be due again */
}

void pool_submit_jobs(struct pool *p)
{
    struct call *c;
    while ((c = api_job_due(p->api)) != NULL && submit(p, c))
        continue;
}

/* ---- starting and stopping ----------------------------------------------------------------- */

static enum err_kind make_spares(struct api *a, struct pool *p, struct err *e)
{
    p->spare = mem_array(p->config.here, sizeof *p->spare);
    while (p->spare && p->spares < p->config.here && (p->spare[p->spares] = scratch_new(a)) != NULL)
        p->spares++;
    return p->spare && p->spares == p->config.here
               ? ERR_OK
               : err_set(e, ERR_NOMEM, "", "no memory for calls");
}

static enum err_kind start_workers(struct api *a, struct pool *p, struct err *e)
{
    for (size_t i = 0; i < p->config.workers; i++) {
        struct worker *w = &p->worker[i];
        w->pool = p;
        w->scratch = scratch_new(a);
        if (!w->scratch)
            return err_set(e, ERR_NOMEM, "", "no memory for worker %zu", i + 1);
        scratch_join(w->scratch, &p->crew, &p->queued);
        int code = pthread_create(&w->thread, NULL, worker_main, w);
        if (code)
            return err_set(e, ERR_UNAVAILABLE, "", "worker %zu: %s", i + 1, strerror(code));
        p->started++;
    }
    return ERR_OK;
}

enum err_kind pool_new(struct api *a, const struct pool_config *config, struct pool **out,
                       struct err *e)
{
    struct pool *p = mem_array(1, sizeof *p);
    struct worker *worker = mem_array(config->workers, sizeof *worker);
    *out = NULL;
    if (!p || !worker) {
        mem_free(p);
        mem_free(worker);
        return err_set(e, ERR_NOMEM, "", "no memory for %zu workers", config->workers);
    }
    p->light_ns = INT64_MIN / 2; /* never; the time since then is a number */
    p->crew.run = run_errand;
    p->api = a;
    p->config = *config;
    p->worker = worker;
    lock_init(&p->lock);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->helped, NULL);
    pthread_cond_init(&p->all_kept, NULL);
    enum err_kind rc = make_spares(a, p, e);
    if (!rc)
        rc = start_workers(a, p, e);
    if (rc)
        pool_free(p);
    else
        *out = p;
    return rc;
}

void pool_stop(struct pool *p)
{
    lock_take(&p->lock);
    p->stopping = true;
    tell(p, p->idle);
    size_t workers = p->started;
    lock_give(&p->lock);
    for (size_t i = 0; i < workers; i++)
        pthread_join(p->worker[i].thread, NULL);

    lock_take(&p->lock);
    p->started = 0;
    refuse_if_stopping(p);
    while (p->unkept > 0)
        lock_wait(&p->lock, &p->all_kept);
    lock_give(&p->lock);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pool_stop(p);
    for (size_t i = 0; i < p->config.workers; i++)
        scratch_free(p->worker[i].scratch);
    while (p->spares > 0)
        scratch_free(p->spare[--p->spares]);
    mem_free(p->spare);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->helped);
    pthread_cond_destroy(&p->all_kept);
    lock_close(&p->lock);
    mem_free(p->worker);
    mem_free(p);
}

bool pool_is_quiet(struct pool *p)
{
    lock_take(&p->lock);
    bool quiet = p->calls == 0;
    lock_give(&p->lock);
    return quiet;
}

struct pool_stats pool_stats(struct pool *p)
{
    lock_take(&p->lock);
    struct pool_stats s = {.queued = p->queued, .running = p->running, .done = p->done};
    lock_give(&p->lock);
    return s;
}
