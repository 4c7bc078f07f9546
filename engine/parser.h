/* engine/parser.h - what the parser's files share; inside parser*.c only.
 *
 * Recursive descent, one function a rule of Python's grammar. A function that returns NULL or false
 * has set the flaw; from then on p->now is TOKEN_ERROR, so that callers need not ask at once.
 * The C stack is bounded by PROGRAM_DEPTH_MAX: whatever recurses, enters a level first.
 *
 * Source: Python 3.11, "Full Grammar specification", with its invalid_* rules for the words of
 *         errors.
 */
#ifndef ENGINE_PARSER_H
#define ENGINE_PARSER_H

#include "engine/lexer.h"

struct parser {
    struct arena *arena;
    struct lexer lexer;
    struct token now; /* not yet consumed; the lexer stands behind it */
    struct flaw flaw;
    int depth;
    int statements;       /* added so far */
    bool trying;          /* only asks whether something would parse: looks for no better words */
    struct token element; /* what the last element of a tuple or list that was read … */
    struct tree *last;    /* … began with, and the element */
    const char *behind_minus; /* text of the token there, which may be 9223372036854775808 */
};

static inline bool place_equal(struct place a, struct place b)
{
    return a.line == b.line && a.column == b.column;
}

/* A list of trees by their next. */
struct items {
    struct tree *first, *last;
};
void items_add(struct items *list, struct tree *t);

/* ---- parser.c ---- */
static inline bool parser_is(const struct parser *p, enum token_kind kind)
{
    return p->now.kind == kind;
}
void parser_open(struct parser *p, struct arena *arena, struct cursor c, bool inside, int depth);
void parser_advance(struct parser *p);
/* Consumes the token, if it is the one. */
bool parser_take(struct parser *p, enum token_kind kind);
/* The same; if it is not, this is an error. */
bool parser_expect(struct parser *p, enum token_kind kind);
/* One level more or less of brackets, operators or blocks. */
bool parser_enter(struct parser *p);
void parser_leave(struct parser *p);
/* Empty but for kind and place. */
struct tree *parser_tree(struct parser *p, enum tree_kind kind, struct place place);
/* t, all of whose parts are there; NULL: it is too high. */
struct tree *parser_finish(struct parser *p, struct tree *t);
/* bytes and a NUL in the arena. */
char *parser_copy(struct parser *p, const char *text, size_t bytes);
/* A TREE_NAME of the token. */
struct tree *parser_name(struct parser *p, const struct token *t);
/* Adds a statement that is complete. t NULL: a flaw */
bool parser_add(struct parser *p, struct items *out, struct tree *t);

/* ---- parser_import.c ---- */
bool parser_import(struct parser *p, struct items *out);
bool parser_from(struct parser *p, struct items *out);

/* ---- parser_statement.c ---- */
/* All statements up to the token that ends them: TOKEN_END or TOKEN_DEDENT. */
bool parser_statements(struct parser *p, enum token_kind end, struct items *out);

/* ---- parser_expression.c ---- */
struct tree *parser_expression(struct parser *p);
/* What binds at least as | does: no not, and, or, comparison, conditional. */
struct tree *parser_bitwise(struct parser *p);

/* ---- parser_primary.c ---- */
struct tree *parser_primary(struct parser *p);
/* An expression, or a tuple without parentheses. */
struct tree *parser_expressions(struct parser *p);

/* ---- parser_number.c ---- */
struct tree *parser_int(struct parser *p);
struct tree *parser_float(struct parser *p);

/* ---- parser_string.c ---- */
/* At a string: it and those behind it. */
struct tree *parser_strings(struct parser *p);

/* ---- parser_error.c: each returns NULL ---- */
void *parser_fail(struct parser *p, struct place place, const char *format, ...) PRINTF_LIKE(3, 4);
/* The same, of what is no mistake: a bound of this language. */
void *parser_limit(struct parser *p, struct place place, const char *format, ...) PRINTF_LIKE(3, 4);
/* what: "'for' is", "bytes literals are" (not part of this language) */
void *parser_refuse(struct parser *p, struct place place, const char *what);
void *parser_nomem(struct parser *p);
/* The token cannot stand here. */
void *parser_unexpected(struct parser *p);
/* An expression begins behind a, which first began. */
void *parser_juxtaposed(struct parser *p, const struct tree *a, const struct token *first);
/* An = stands behind the last element, where none may stand. Not a NULL but false: there are no
 * words for it. */
bool parser_fail_set(struct parser *p);
/* "function call", of something that is no target */
const char *parser_kind_name(const struct tree *t);
/* May an expression begin with the token, other than with an operator that can also go on? */
bool parser_begins(enum token_kind kind);

#endif
