#include "tests/engine/programs.h"

#include "tests/engine/lab.h"

static const struct interp_limits limits = {.stdout_bytes = 4096, .calls = 1000};

enum err_kind run_start(struct run *r, const char *text, bool pure)
{
    *r = (struct run){.where = {0, 0}};
    enum err_kind rc = tape_init(&r->tape, kernels_best(), &r->e);
    if (!rc)
        rc = program_parse(text, strlen(text), &r->program, &r->where, &r->e);
    if (!rc)
        rc = program_bind(&r->program, pure, &r->where, &r->e);
    if (!rc)
        interp_init(&r->in, &r->tape, 0, &limits);
    return rc;
}

void run_end(struct run *r)
{
    tape_close(&r->tape);
    program_close(&r->program);
}

enum err_kind run_all(struct run *r)
{
    bool again;
    enum err_kind rc = interp_run(&r->in, &r->program, NULL, NULL, &again, &r->e);
    if (rc)
        r->where = r->in.where;
    return rc;
}

void assert_prints(const char *text, const char *printed)
{
    struct run r;
    if (run_start(&r, text, false) != ERR_OK || run_all(&r) != ERR_OK)
        fail_msg("%s\nfails at %d:%d: %s", text, r.where.line, r.where.column, r.e.message);
    const char *got = r.in.out.bytes ? r.in.out.at : "";
    if (strcmp(got, printed) != 0)
        fail_msg("%s\nprints\n%s\nnot\n%s", text, got, printed);
    run_end(&r);
}

void assert_fails(const char *text, int line, int column, const char *words)
{
    struct run r;
    enum err_kind rc = run_start(&r, text, false);
    if (!rc)
        rc = run_all(&r);
    if (rc != ERR_INVALID && rc != ERR_CONFLICT)
        fail_msg("%s\ndoes not fail", text);
    if (!strstr(r.e.message, words) || r.where.line != line || r.where.column != column)
        fail_msg("%s\nfails at %d:%d with: %s", text, r.where.line, r.where.column, r.e.message);
    run_end(&r);
}
