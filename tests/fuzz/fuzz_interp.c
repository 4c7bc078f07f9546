/* Any text as a program, run on the tape that it gets over HTTP, with small bounds: it may fail,
 * but only in words, and what it took is given back. A dry run of the same as a model's forward
 * takes no memory for numbers. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/decimal.h"
#include "engine/interp.h"
#include "tests/fuzz/fuzz.h"

#define BUDGET ((size_t)4 << 20)

static const struct interp_limits limits = {.stdout_bytes = 2000, .calls = 200};

static void expect(bool condition)
{
    if (!condition)
        abort();
}

static bool in_words(enum err_kind rc, const struct err *e)
{
    return rc == ERR_OK || rc == ERR_NOMEM ||
           ((rc == ERR_INVALID || rc == ERR_CONFLICT) && e->message[0]);
}

static void run(struct tape *t, const struct program *p)
{
    struct interp in;
    struct err e;
    bool again;
    interp_init(&in, t, 0, &limits);
    enum err_kind rc = interp_run(&in, p, NULL, NULL, &again, &e);
    expect(in_words(rc, &e));
    expect(rc == ERR_OK || in.where.line > 0);
}

static void forward(struct tape *t, const struct program *p)
{
    struct interp in;
    struct err e;
    struct tensor *y, *x = tape_tensor(t, DTYPE_FLOAT32, &(struct shape){.rank = 2, .dim = {3, 2}});
    interp_init(&in, t, 0, &limits);
    if (x && interp_set(&in, "x", (struct value){.kind = VALUE_TENSOR, .tensor = x}, &e) == ERR_OK)
        expect(in_words(interp_forward(&in, p, &y, &e), &e));
}

static void with_tape(const struct program *p, bool dry)
{
    struct mem_budget budget = {BUDGET};
    struct tape t;
    struct err e;
    if (dry)
        tape_init_dry(&t, kernels_best());
    else if (tape_init(&t, kernels_best(), &e) != ERR_OK)
        return;
    t.arena.budget = &budget;
    t.work_max = 1e6;
    if (dry)
        forward(&t, p);
    else
        run(&t, p);
    tape_close(&t);
    expect(budget.left == BUDGET);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static bool ready;
    if (!ready)
        decimal_init();
    ready = true;
    for (int dry = 0; dry < 2; dry++) {
        struct program p;
        struct place where;
        struct err e;
        if (program_parse((const char *)data, bytes, &p, &where, &e) == ERR_OK &&
            program_bind(&p, dry, &where, &e) == ERR_OK)
            with_tape(&p, dry);
        program_close(&p);
    }
    return 0;
}
