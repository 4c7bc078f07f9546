/* bench_numbers [--quick]: tensors as JSON text, read and written by api/json_*.c and by cJSON.
 *
 * Ours reads from the request's text to floats, as a handler does. So does cJSON: parsed, walked,
 * freed. For writing cJSON finds its nodes made. What either gives is compared with strtof. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/json_in.h"
#include "api/json_out.h"
#include "tests/bench/paired.h"
#include "tests/bench/row.h"

#define ROWS       32
#define COLUMNS    784
#define NUMBERS    (ROWS * COLUMNS)
#define TEXT_BYTES (NUMBERS * 28)
#define MEMBER     "inputs"

/* A document {"inputs": (ROWS, COLUMNS)}, and where to read it to. */
struct document {
    char text[TEXT_BYTES];
    size_t bytes;
    float expected[NUMBERS], read[NUMBERS];
    cJSON *nodes;
};
static struct document document;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "bench_numbers: %s\n", what);
    exit(1);
}

/* ---- the text ------------------------------------------------------------------------------ */

static double next_number(void)
{
    static uint64_t seed = 1;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return ((double)(seed >> 11) - 0x1p52) * 0x1p-52; /* -1 to 1 */
}

/* The fewest digits that read back to the same float. */
static int print_shortest(char *out, size_t room, double x)
{
    for (int digits = 1; digits < 9; digits++) {
        int n = snprintf(out, room, "%.*g", digits, x);
        if (strtof(out, NULL) == (float)x)
            return n;
    }
    return snprintf(out, room, "%.9g", x);
}

static int print_float(char *out, size_t room)
{
    return print_shortest(out, room, (double)(float)next_number());
}

/* What a client in Python sends of a list of doubles. */
static int print_double(char *out, size_t room)
{
    return snprintf(out, room, "%.17g", next_number());
}

static void make_text(struct document *d, int (*print)(char *out, size_t room))
{
    char *p = d->text, *end = d->text + sizeof d->text;
    p += snprintf(p, (size_t)(end - p), "{\"%s\":[", MEMBER);
    for (int i = 0; i < NUMBERS; i++) {
        *p++ = i % COLUMNS == 0 ? '[' : ',';
        int n = print(p, (size_t)(end - p));
        d->expected[i] = strtof(p, NULL);
        p += n;
        if (i % COLUMNS == COLUMNS - 1)
            *p++ = ']', *p++ = ',';
    }
    p += snprintf(p - 1, (size_t)(end - p), "]}") - 1;
    d->bytes = (size_t)(p - d->text);
}

/* ---- reading ------------------------------------------------------------------------------- */

static void read_ours(void *context)
{
    struct document *d = context;
    struct json j;
    struct err e;
    int64_t dim[JSON_RANK_MAX];
    int rank;
    if (json_parse(d->text, d->bytes, &j, &e) != ERR_OK)
        fail(e.message);
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(j.root, MEMBER);
    if (json_tensor_shape(&j, item, dim, &rank, &e) != ERR_OK || rank != 2 || dim[0] != ROWS ||
        dim[1] != COLUMNS || json_tensor_read(&j, item, DTYPE_FLOAT32, d->read, &e) != ERR_OK)
        fail("ours does not read the document");
    json_close(&j);
}

static void read_cjson(void *context)
{
    struct document *d = context;
    cJSON *root = cJSON_ParseWithLength(d->text, d->bytes);
    const cJSON *row, *number;
    float *out = d->read;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(root, MEMBER))
        cJSON_ArrayForEach(number, row) *out++ = (float)number->valuedouble;
    cJSON_Delete(root);
}

/* cJSON rounds twice, to double and then to float: it may be off by an ulp. */
static void check_read(struct document *d, void (*read)(void *), double tolerance, const char *who)
{
    memset(d->read, 0xff, sizeof d->read);
    read(d);
    for (int i = 0; i < NUMBERS; i++)
        if (!(fabs((double)d->read[i] - (double)d->expected[i]) <=
              tolerance * fabs((double)d->expected[i])))
            fail(who);
}

/* ---- writing ------------------------------------------------------------------------------- */

static void write_ours(void *context)
{
    struct document *d = context;
    struct json_out w = {0};
    json_begin_object(&w);
    json_key(&w, MEMBER);
    json_tensor(&w, DTYPE_FLOAT32, d->expected, (const int64_t[]){ROWS, COLUMNS}, 2);
    json_end_object(&w);
    if (!json_out_end(&w) || w.bytes >= sizeof d->text)
        fail("ours does not write the document");
    memcpy(d->text, w.text, w.bytes);
    d->bytes = w.bytes;
    json_out_close(&w);
}

static void write_cjson(void *context)
{
    struct document *d = context;
    char *text = cJSON_PrintUnformatted(d->nodes);
    if (!text)
        fail("cJSON does not write the document");
    d->bytes = strlen(text);
    memcpy(d->text, text, d->bytes);
    cJSON_free(text);
}

static cJSON *nodes_of(const float *x)
{
    cJSON *root = cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(root, MEMBER);
    for (int i = 0; i < ROWS; i++)
        cJSON_AddItemToArray(rows, cJSON_CreateFloatArray(x + (size_t)i * COLUMNS, COLUMNS));
    return root;
}

/* ---- the rows ------------------------------------------------------------------------------ */

static struct spread nanoseconds(const double *seconds, int rounds)
{
    double x[PAIRED_ROUNDS_MAX];
    for (int r = 0; r < rounds; r++)
        x[r] = 1e9 * seconds[r] / NUMBERS;
    return spread_of(x, rounds);
}

static void measure(const char *what, void (*ours)(void *), void (*theirs)(void *),
                    struct pace pace, double target)
{
    static double seconds[2][PAIRED_ROUNDS_MAX];
    const struct contender contender[2] = {{ours, &document}, {theirs, &document}};
    double ratio[PAIRED_ROUNDS_MAX];
    paired_run(contender, 2, pace, seconds);
    for (int r = 0; r < pace.rounds; r++)
        ratio[r] = seconds[1][r] / seconds[0][r];
    struct spread mine = nanoseconds(seconds[0], pace.rounds);
    struct spread peer = nanoseconds(seconds[1], pace.rounds),
                  times = spread_of(ratio, pace.rounds);
    row_print(&(struct row){.bench = "numbers",
                            .what = what,
                            .beside = "cJSON",
                            .unit = "ns",
                            .figure = &mine,
                            .peer = &peer,
                            .ratio = &times,
                            .target = &(struct target){"figure", "<=", target}});
}

static void measure_reading(const char *what, int (*print)(char *, size_t), struct pace pace,
                            double target)
{
    make_text(&document, print);
    check_read(&document, read_ours, 0, "ours reads other floats than strtof");
    check_read(&document, read_cjson, 0x1p-23, "cJSON reads other numbers than strtof");
    measure(what, read_ours, read_cjson, pace, target);
}

static void measure_writing(struct pace pace)
{
    make_text(&document, print_float);
    document.nodes = nodes_of(document.expected);
    write_cjson(&document);
    check_read(&document, read_cjson, 0, "cJSON writes other floats");
    write_ours(&document);
    check_read(&document, read_cjson, 0, "ours writes other floats");
    measure("a number of a JSON tensor: write float32", write_ours, write_cjson, pace, 35);
    cJSON_Delete(document.nodes);
}

int main(int argc, char **argv)
{
    bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    struct pace pace = quick ? (struct pace){7, 2e-2} : (struct pace){21, 1e-1};
    json_init();
    cJSON_InitHooks(NULL); /* cJSON as it ships: on malloc, not on our zeroed, aligned blocks */
    measure_reading("a number of a JSON tensor: read shortest float32", print_float, pace, 15);
    measure_reading("a number of a JSON tensor: read 17 digits", print_double, pace, 20);
    measure_writing(pace);
    return 0;
}
