/* A program: its text made fit for the lexer, parsed, and what is wrong with it told. */
#include <string.h>

#include "engine/parser.h"

/* Of a program's memory: most are a line or two, and models by expression keep theirs. */
#define LEAST_BYTES ((size_t)2 << 10)

const char *const tree_operator_text[TREE_OP_COUNT] = {
#define TREE_OPERATOR(name, text) [TREE_OP_##name] = (text),
    TREE_OPERATORS(TREE_OPERATOR)
#undef TREE_OPERATOR
};

/* A copy whose lines, also the last, end with \n. NULL: no memory. */
static bool copy_lines(struct arena *arena, const char *text, size_t bytes, struct cursor *out)
{
    char *copy = arena_alloc(arena, bytes + 1);
    if (!copy)
        return false;
    char *to = copy;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\r' && i + 1 < bytes && text[i + 1] == '\n')
            continue;
        *to++ = text[i] == '\r' ? '\n' : text[i];
    }
    if (to > copy && to[-1] != '\n')
        *to++ = '\n';
    *out = (struct cursor){copy, to, {1, 1}};
    return true;
}

/* The bytes of the character at p; 0: it is not UTF-8 (RFC 3629). */
static size_t measure_character(const unsigned char *p, size_t left)
{
    static const unsigned least[] = {0, 0x80, 0x800, 0x10000};
    if (p[0] < 0x80)
        return 1;
    size_t more = p[0] >= 0xF0 ? 3 : p[0] >= 0xE0 ? 2 : 1;
    if (p[0] < 0xC0 || more >= left)
        return 0;
    unsigned c = p[0] & (0x3FU >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3FU);
    }
    bool valid = c >= least[more] && c <= 0x10FFFF && !(0xD800 <= c && c <= 0xDFFF);
    return valid ? more + 1 : 0;
}

static bool check_characters(struct cursor c, struct flaw *flaw)
{
    while (c.at < c.end) {
        size_t count = measure_character((const unsigned char *)c.at, (size_t)(c.end - c.at));
        if (count == 0 || *c.at == '\0') {
            flaw_set(flaw, FLAW_FINAL, c.place, "%s",
                     count ? "source code string cannot contain null bytes"
                           : "the program is not valid UTF-8");
            return false;
        }
        for (; count; count--)
            cursor_step(&c);
    }
    return true;
}

/* What Python reports: of a mistake found by the parser, one that the lexer finds behind it comes
 * first; of an open bracket only if it was opened in an earlier line. */
static void weigh_flaw(struct parser *p)
{
    if (p->flaw.kind != FLAW_SYNTAX)
        return;
    struct flaw later = lexer_rest(&p->lexer);
    if (later.kind == FLAW_LEXICAL ||
        (later.kind == FLAW_UNCLOSED && later.place.line < p->now.place.line))
        p->flaw = later;
}

static enum err_kind report(const struct flaw *f, struct place *where, struct err *e)
{
    *where = f->place;
    if (f->kind == FLAW_NOMEM)
        return err_set(e, ERR_NOMEM, "", "no memory for the program");
    return err_set(e, ERR_INVALID, "", "%s", f->message);
}

static bool parse(struct parser *p, struct arena *arena, struct cursor c, struct program *out)
{
    struct items statements = {0};
    parser_open(p, arena, c, false, 0);
    if (parser_statements(p, TOKEN_END, &statements)) {
        out->first = statements.first;
        out->statements = p->statements;
        return true;
    }
    weigh_flaw(p);
    return false;
}

enum err_kind program_parse(const char *text, size_t bytes, struct program *out,
                            struct place *where, struct err *e)
{
    struct cursor c;
    struct parser p;
    struct flaw flaw = {0};
    *out = (struct program){.arena.least = LEAST_BYTES};
    *where = (struct place){1, 1};
    if (bytes > PROGRAM_BYTES_MAX)
        return err_set(e, ERR_INVALID, "", "a program has at most %zu bytes, this one has %zu",
                       PROGRAM_BYTES_MAX, bytes);
    if (!copy_lines(&out->arena, text, bytes, &c))
        return err_set(e, ERR_NOMEM, "", "no memory for the program");
    if (!check_characters(c, &flaw))
        return report(&flaw, where, e);
    return parse(&p, &out->arena, c, out) ? ERR_OK : report(&p.flaw, where, e);
}

void program_close(struct program *p)
{
    arena_close(&p->arena);
    memset(p, 0, sizeof *p);
}
