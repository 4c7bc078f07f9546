#include "api/csv.h"

#include <stdbool.h>
#include <string.h>

#include "api/json_in.h"

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* ---- cells --------------------------------------------------------------------------------- */

struct reader {
    const char *at, *end;
    int64_t line, column; /* of the cell that comes next, from 1 on */
};

struct cell {
    const char *text, *end; /* without quotes and the blanks around */
    int64_t line, column;
    bool whole; /* nothing stands beside its quotes */
    bool last;  /* of its line */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void trim(const char **text, const char **end)
{
    while (*text < *end && is_blank(**text))
        ++*text;
    while (*end > *text && is_blank((*end)[-1]))
        --*end;
}

/* The end of a cell that begins with a quote: behind the one that closes it. Counts lines. */
static const char *skip_quotes(struct reader *r)
{
    const char *p = r->at + 1;
    for (; p < r->end && !(*p == '"' && (p + 1 == r->end || p[1] != '"')); p++) {
        r->line += *p == '\n';
        p += *p == '"'; /* two of them are one within */
    }
    return p < r->end ? p + 1 : p;
}

/* Takes the next cell of a text that is not at its end. */
static struct cell next_cell(struct reader *r)
{
    struct cell c = {.line = r->line, .column = r->column, .whole = true};
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
        r->at++;
    c.text = r->at;
    const char *p = r->at, *quoted = NULL;
    if (p < r->end && *p == '"')
        p = quoted = skip_quotes(r);
    while (p < r->end && *p != ',' && *p != '\n')
        p++;
    c.end = p;
    trim(&c.text, &c.end);
    if (quoted) {
        c.whole = c.end == quoted && c.end - c.text >= 2 && c.end[-1] == '"';
        c.text += c.whole;
        c.end -= c.whole;
        trim(&c.text, &c.end);
    }
    c.last = p == r->end || *p == '\n';
    r->at = p < r->end ? p + 1 : p;
    r->line += c.last;
    r->column = c.last ? 1 : r->column + 1;
    return c;
}

static bool is_number(const struct cell *c)
{
    double x;
    return c->whole && !json_read_number(c->text, c->end, DTYPE_FLOAT64, &x);
}

/* ---- the whole ----------------------------------------------------------------------------- */

/* The cells of the next line; *any: is one of them a number? NULL: no matter. */
static int64_t count_cells(struct reader *r, bool *any)
{
    struct cell c = {.last = false};
    int64_t cells = 0;
    for (; !c.last; cells++) {
        c = next_cell(r);
        if (any && is_number(&c))
            *any = true;
    }
    return cells;
}

/* Lines of blanks at the end say nothing. */
static const char *find_end(const char *text, const char *end)
{
    while (end > text && (is_blank(end[-1]) || end[-1] == '\n'))
        end--;
    return end;
}

enum err_kind csv_open(const char *text, size_t bytes, struct csv *out, struct err *e)
{
    size_t mark = sizeof BYTE_ORDER_MARK - 1;
    bool any = false;
    if (bytes >= mark && !memcmp(text, BYTE_ORDER_MARK, mark)) {
        text += mark;
        bytes -= mark;
    }
    struct reader r = {.at = text, .end = find_end(text, text + bytes), .line = 1, .column = 1};
    *out = (struct csv){.text = text, .end = r.end, .line = 1};
    if (r.at < r.end) {
        out->columns = count_cells(&r, &any);
        out->rows = any;
        if (!out->rows) {
            out->text = r.at;
            out->line = r.line;
        }
    }
    while (r.at < r.end) {
        int64_t line = r.line, cells = count_cells(&r, NULL);
        if (cells != out->columns)
            return err_set(e, ERR_MALFORMED, "",
                           "line %lld has %lld columns, not %lld as the first", (long long)line,
                           (long long)cells, (long long)out->columns);
        out->rows++;
    }
    return out->rows ? ERR_OK
                     : err_set(e, ERR_MALFORMED, "", "there must be at least one row of numbers");
}

int64_t csv_line(const struct csv *csv, int64_t row)
{
    struct reader r = {.at = csv->text, .end = csv->end, .line = csv->line, .column = 1};
    while (row-- > 0)
        count_cells(&r, NULL);
    return r.line;
}

enum err_kind csv_numbers(const struct csv *csv, int64_t first, int64_t columns, enum dtype dtype,
                          void *to, struct err *e)
{
    struct reader r = {.at = csv->text, .end = csv->end, .line = csv->line, .column = 1};
    char *out = to;
    for (int64_t i = 0; i < csv->rows * csv->columns; i++) {
        struct cell c = next_cell(&r);
        if (c.column <= first || c.column > first + columns)
            continue;
        const char *why = c.whole ? json_read_number(c.text, c.end, dtype, out) : JSON_NO_NUMBER;
        if (why)
            return err_set(e, why == JSON_NO_NUMBER ? ERR_MALFORMED : ERR_INVALID, "",
                           "line %lld, column %lld %s", (long long)c.line, (long long)c.column,
                           why);
        out += dtype_bytes(dtype);
    }
    return ERR_OK;
}
