/* The words of errors: Python's, and the names of what this language has not. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/parser.h"

static void stop(struct parser *p, enum flaw_kind kind, struct place place, const char *format,
                 va_list args) PRINTF_LIKE(4, 0);
static void stop(struct parser *p, enum flaw_kind kind, struct place place, const char *format,
                 va_list args)
{
    char message[sizeof p->flaw.message];
    vsnprintf(message, sizeof message, format, args);
    flaw_set(&p->flaw, kind, place, "%s", message);
    p->now.kind = TOKEN_ERROR;
}

void *parser_fail(struct parser *p, struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    stop(p, FLAW_SYNTAX, place, format, args);
    va_end(args);
    return NULL;
}

void *parser_limit(struct parser *p, struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    stop(p, FLAW_FINAL, place, format, args);
    va_end(args);
    return NULL;
}

void *parser_refuse(struct parser *p, struct place place, const char *what)
{
    return parser_limit(p, place, "%s not part of this language", what);
}

void *parser_nomem(struct parser *p)
{
    flaw_set(&p->flaw, FLAW_NOMEM, p->now.place, "no memory for the program");
    p->now.kind = TOKEN_ERROR;
    return NULL;
}

/* Tokens of Python that have no place in this language, wherever they stand. */
static const char *refused_text(enum token_kind kind)
{
    static const char *const text[TOKEN_COUNT] = {
        [TOKEN_AS] = "'as' other than in 'import' is",
        [TOKEN_ASYNC] = "'async' is",
        [TOKEN_AWAIT] = "'await' is",
        [TOKEN_BREAK] = "'break' is",
        [TOKEN_CLASS] = "'class' is",
        [TOKEN_CONTINUE] = "'continue' is",
        [TOKEN_DEF] = "'def' is",
        [TOKEN_DEL] = "'del' is",
        [TOKEN_ELIF] = "'elif' is",
        [TOKEN_EXCEPT] = "'except' is",
        [TOKEN_FINALLY] = "'finally' is",
        [TOKEN_FOR] = "'for' is",
        [TOKEN_GLOBAL] = "'global' is",
        [TOKEN_LAMBDA] = "'lambda' is",
        [TOKEN_NONLOCAL] = "'nonlocal' is",
        [TOKEN_RAISE] = "'raise' is",
        [TOKEN_RETURN] = "'return' is",
        [TOKEN_TRY] = "'try' is",
        [TOKEN_WHILE] = "'while' is",
        [TOKEN_YIELD] = "'yield' is",
        [TOKEN_COMPLEX] = "complex numbers are",
        [TOKEN_SET_LEFT] = "'<<=' is",
        [TOKEN_SET_RIGHT] = "'>>=' is",
        [TOKEN_LEFT] = "'<<' is",
        [TOKEN_RIGHT] = "'>>' is",
        [TOKEN_WALRUS] = "':=' is",
        [TOKEN_BRACE] = "dicts and sets ('{') are",
    };
    return text[kind];
}

void *parser_unexpected(struct parser *p)
{
    struct place place = p->now.place;
    const char *refused = refused_text(p->now.kind);
    if (refused)
        return parser_refuse(p, place, refused);
    if (parser_is(p, TOKEN_INDENT)) {
        place.column -= place.column > 1; /* Python points at the last blank */
        flaw_set(&p->flaw, FLAW_LINES, place, "unexpected indent");
    }
    return parser_fail(p, place, "invalid syntax");
}

bool parser_begins(enum token_kind kind)
{
    static const bool begins[TOKEN_COUNT] = {
        [TOKEN_NAME] = true,    [TOKEN_INT] = true,    [TOKEN_FLOAT] = true,
        [TOKEN_COMPLEX] = true, [TOKEN_STRING] = true, [TOKEN_NONE] = true,
        [TOKEN_TRUE] = true,    [TOKEN_FALSE] = true,  [TOKEN_LAMBDA] = true,
        [TOKEN_AWAIT] = true,   [TOKEN_NOT] = true,    [TOKEN_TILDE] = true,
        [TOKEN_BRACKET] = true, [TOKEN_PAREN] = true,  [TOKEN_ELLIPSIS] = true};
    return begins[kind];
}

/* ---- asking what would parse ---- */

/* Makes *probe go on from where p is. */
static void probe_open(struct parser *probe, const struct parser *p)
{
    *probe = *p;
    probe->trying = true;
    probe->lexer.flaw = &probe->flaw;
}

/* What the probe met and is no matter of syntax, is p's too. If it found what it asked for, p has
 * come so far, which decides what weighs more (program.c). */
static bool probe_close(const struct parser *probe, struct parser *p, bool found)
{
    if (found)
        p->now.place = probe->now.place;
    if (probe->flaw.kind > FLAW_SYNTAX) {
        p->flaw = probe->flaw;
        p->now.kind = TOKEN_ERROR;
    }
    return found && !p->flaw.kind;
}

/* An expression that is only one token is one whatever stands behind it. */
static bool is_short(enum token_kind kind)
{
    return kind == TOKEN_NAME || kind == TOKEN_INT || kind == TOKEN_FLOAT || kind == TOKEN_NONE ||
           kind == TOKEN_TRUE || kind == TOKEN_FALSE || kind == TOKEN_ELLIPSIS;
}

static bool expression_follows(struct parser *p)
{
    struct parser probe;
    probe_open(&probe, p);
    bool found = parser_expression(&probe) != NULL;
    return probe_close(&probe, p, found || is_short(p->now.kind));
}

/* "= value" and no further =. */
static bool single_value_follows(struct parser *p)
{
    struct parser probe;
    probe_open(&probe, p);
    parser_advance(&probe);
    bool found = parser_bitwise(&probe) != NULL;
    found = found && !parser_is(&probe, TOKEN_SET) && !parser_is(&probe, TOKEN_WALRUS);
    return probe_close(&probe, p, found);
}

/* ---- an expression behind an expression ---- */

static bool is_word(const struct token *t, const char *word)
{
    return t->bytes == strlen(word) && memcmp(t->text, word, t->bytes) == 0;
}

/* A statement of Python 2. */
static bool is_legacy(const struct tree *a, const struct token *first)
{
    return a->kind == TREE_NAME && (is_word(first, "print") || is_word(first, "exec"));
}

static bool is_soft_keyword(const struct token *t)
{
    return is_word(t, "match") || is_word(t, "case") || is_word(t, "_");
}

/* Python does not look further behind such a beginning. */
static bool is_without_hint(const struct parser *p, const struct tree *a, const struct token *first)
{
    return is_soft_keyword(first) || (a->kind == TREE_NAME && parser_is(p, TOKEN_STRING));
}

void *parser_juxtaposed(struct parser *p, const struct tree *a, const struct token *first)
{
    bool legacy = is_legacy(a, first);
    bool comma = lexer_joins_lines(&p->lexer);
    const struct place here = p->now.place;
    if (legacy || !is_without_hint(p, a, first)) {
        bool follows = expression_follows(p);
        if (follows && legacy)
            return parser_fail(p, a->place,
                               "Missing parentheses in call to '%s'. Did you mean %s(...)?",
                               a->text, a->text);
        if (follows && comma)
            return parser_fail(p, a->place, "invalid syntax. Perhaps you forgot a comma?");
    }
    if (parser_take(p, TOKEN_NOT)) /* could still have become "not in" */
        return parser_unexpected(p);
    p->now.place = here;
    return parser_unexpected(p);
}

/* ---- an = behind an expression ---- */

const char *parser_kind_name(const struct tree *t)
{
    static const char *const name[] = {
        [TREE_NONE] = "None",
        [TREE_TRUE] = "True",
        [TREE_FALSE] = "False",
        [TREE_ELLIPSIS] = "ellipsis",
        [TREE_FSTRING] = "f-string expression",
        [TREE_NAME] = "name",
        [TREE_TUPLE] = "tuple",
        [TREE_LIST] = "list",
        [TREE_COMPARE] = "comparison",
        [TREE_UNARY] = "expression",
        [TREE_BINARY] = "expression",
        [TREE_AND] = "expression",
        [TREE_OR] = "expression",
        [TREE_NOT] = "expression",
        [TREE_CONDITIONAL] = "conditional expression",
        [TREE_ATTRIBUTE] = "attribute",
        [TREE_CALL] = "function call",
        [TREE_INDEX] = "subscript",
    };
    bool named = (size_t)t->kind < sizeof name / sizeof *name && name[t->kind];
    return named ? name[t->kind] : "literal";
}

/* Does the element a, which first began, bind at least as | does? In brackets anything does. */
static bool is_bitwise(const struct tree *a, const struct token *first)
{
    if (!place_equal(a->place, first->place))
        return true;
    return a->kind != TREE_NOT && a->kind != TREE_COMPARE && a->kind != TREE_AND &&
           a->kind != TREE_OR && a->kind != TREE_CONDITIONAL;
}

/* For what begins so, Python has no hint. */
static bool begins_as_target(const struct tree *a, const struct token *first)
{
    if (first->kind == TOKEN_TRUE || first->kind == TOKEN_FALSE || first->kind == TOKEN_NONE ||
        first->kind == TOKEN_BRACKET)
        return true;
    for (; a && place_equal(a->place, first->place); a = a->a)
        if (a->kind == TREE_TUPLE)
            return true;
    return false;
}

bool parser_fail_set(struct parser *p)
{
    const struct token first = p->element;
    const struct tree *a = p->last;
    if (p->trying || !a || !is_bitwise(a, &first) || begins_as_target(a, &first) ||
        !single_value_follows(p))
        return false;
    if (a->kind == TREE_NAME && place_equal(a->place, first.place))
        parser_fail(p, a->place, "invalid syntax. Maybe you meant '==' or ':=' instead of '='?");
    else
        parser_fail(p, a->place, "cannot assign to %s here. Maybe you meant '==' instead of '='?",
                    parser_kind_name(a));
    return true;
}
