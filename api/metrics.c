/* api/metrics.c - GET /metrics: one list of what a monitor watches, as Prometheus reads it
 * (text format 0.0.4). The memory's numbers are those of GET /memory.
 */
#include <stdio.h>
#include <time.h>

#include "api/handlers.h"
#include "api/memory.h"
#include "api/state.h"

struct reading {
    struct api *api;
    struct memory memory;
    struct json_out *out;
};

static void write_line(const struct reading *r, const char *name, const char *labels, double value)
{
    char line[256];
    snprintf(line, sizeof line, "%s%s %.17g\n", name, labels, value);
    json_plain(r->out, line);
}

static void write_classes(const struct reading *r, const char *name)
{
    char labels[64];
    for (int i = 0; i < MEMORY_CLASS_COUNT; i++) {
        snprintf(labels, sizeof labels, "{class=\"%s\"}", memory_names[i]);
        write_line(r, name, labels, (double)r->memory.class[i]);
    }
}

static void write_build(const struct reading *r, const char *name)
{
    char labels[128];
    snprintf(labels, sizeof labels, "{version=\"%s\",isa=\"%s\"}", r->api->config.version,
             api_isa(r->api));
    write_line(r, name, labels, 1);
}

static void write_jobs(const struct reading *r, const char *name)
{
    struct jobs_stats stats = jobs_stats(&r->api->jobs);
    write_line(r, name, "{state=\"queued\"}", (double)stats.queued);
    write_line(r, name, "{state=\"running\"}", (double)stats.running);
}

static double budget(const struct reading *r)
{
    return (double)r->memory.models.budget;
}

static double resident(const struct reading *r)
{
    return (double)r->memory.models.resident;
}

static double loads(const struct reading *r)
{
    return (double)r->memory.models.loads;
}

static double put_away(const struct reading *r)
{
    return (double)r->memory.models.put_away;
}

static double streams(const struct reading *r)
{
    return (double)atomic_load(&r->api->events.streams);
}

static double rss(const struct reading *r)
{
    return (double)r->memory.rss;
}

static double started(const struct reading *r)
{
    return (double)r->api->boot / 1000;
}

static double cpu(const struct reading *r)
{
    struct timespec t;
    (void)r;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double ready(const struct reading *r)
{
    struct err ignored;
    return api_ready(r->api, &ignored) == ERR_OK;
}

/* Either one value, or lines with labels. */
static const struct metric {
    const char *name, *type, *help;
    double (*value)(const struct reading *r);
    void (*write)(const struct reading *r, const char *name);
} metrics[] = {
    {"gradd_build_info", "gauge", "What runs.", NULL, write_build},
    {"gradd_ready", "gauge", "1 if /readyz says 200.", ready, NULL},
    {"gradd_memory_bytes", "gauge", "What the memory holds; the sum is about the resident memory.",
     NULL, write_classes},
    {"gradd_models_budget_bytes", "gauge", "Memory that models and batches may keep.", budget,
     NULL},
    {"gradd_models_resident", "gauge", "Models in memory.", resident, NULL},
    {"gradd_model_loads_total", "counter", "Models loaded from the store.", loads, NULL},
    {"gradd_models_put_away_total", "counter", "Models that left the memory for others.", put_away,
     NULL},
    {"gradd_event_streams", "gauge", "Open streams of events.", streams, NULL},
    {"gradd_jobs", "gauge", "Jobs that are not finished.", NULL, write_jobs},
    {"process_resident_memory_bytes", "gauge", "Resident memory.", rss, NULL},
    {"process_start_time_seconds", "gauge", "When it started, in seconds since 1970.", started,
     NULL},
    {"process_cpu_seconds_total", "counter", "CPU time, of user and system.", cpu, NULL},
};

enum err_kind get_metrics(struct call *c, struct err *e)
{
    struct reading r = {.api = c->api, .out = &c->out};
    char head[256];
    (void)e;
    memory_read(c->api, &r.memory);
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        const struct metric *m = &metrics[i];
        snprintf(head, sizeof head, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
                 m->type);
        json_plain(&c->out, head);
        if (m->write)
            m->write(&r, m->name);
        else
            write_line(&r, m->name, "", m->value(&r));
    }
    c->type = "text/plain; version=0.0.4";
    return ERR_OK;
}
