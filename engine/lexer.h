/* engine/lexer.h - cuts a program of the expression language into tokens; the parser's own.
 *
 * Python's lexical rules: logical lines, brackets and `\` that join lines, indentation, numbers,
 * strings (as a whole: what is in them, parser_string.c reads). All of Python's keywords are
 * known, also those that the parser refuses.
 *
 * Ownership: a token's text lies in the program; nothing is allocated.
 * Threads:   pure.
 * Source:    Python 3.11, "Lexical analysis", and Parser/tokenizer.c for errors and their places.
 */
#ifndef ENGINE_LEXER_H
#define ENGINE_LEXER_H

#include "engine/tree.h"

#define LEXER_KEYWORDS(X)                                                                          \
    X(FALSE, "False")                                                                              \
    X(NONE, "None")                                                                                \
    X(TRUE, "True")                                                                                \
    X(AND, "and")                                                                                  \
    X(AS, "as")                                                                                    \
    X(ASSERT, "assert")                                                                            \
    X(ASYNC, "async")                                                                              \
    X(AWAIT, "await")                                                                              \
    X(BREAK, "break")                                                                              \
    X(CLASS, "class")                                                                              \
    X(CONTINUE, "continue")                                                                        \
    X(DEF, "def")                                                                                  \
    X(DEL, "del")                                                                                  \
    X(ELIF, "elif")                                                                                \
    X(ELSE, "else")                                                                                \
    X(EXCEPT, "except")                                                                            \
    X(FINALLY, "finally")                                                                          \
    X(FOR, "for")                                                                                  \
    X(FROM, "from")                                                                                \
    X(GLOBAL, "global")                                                                            \
    X(IF, "if")                                                                                    \
    X(IMPORT, "import")                                                                            \
    X(IN, "in")                                                                                    \
    X(IS, "is")                                                                                    \
    X(LAMBDA, "lambda")                                                                            \
    X(NONLOCAL, "nonlocal")                                                                        \
    X(NOT, "not")                                                                                  \
    X(OR, "or")                                                                                    \
    X(PASS, "pass")                                                                                \
    X(RAISE, "raise")                                                                              \
    X(RETURN, "return")                                                                            \
    X(TRY, "try")                                                                                  \
    X(WHILE, "while")                                                                              \
    X(WITH, "with")                                                                                \
    X(YIELD, "yield")

/* The longest first, as they are looked for. */
#define LEXER_MARKS(X)                                                                             \
    X(ELLIPSIS, "...")                                                                             \
    X(SET_POW, "**=")                                                                              \
    X(SET_FLOOR_DIV, "//=")                                                                        \
    X(SET_LEFT, "<<=")                                                                             \
    X(SET_RIGHT, ">>=")                                                                            \
    X(POW, "**")                                                                                   \
    X(FLOOR_DIV, "//")                                                                             \
    X(LEFT, "<<")                                                                                  \
    X(RIGHT, ">>")                                                                                 \
    X(EQ, "==")                                                                                    \
    X(NE, "!=")                                                                                    \
    X(LE, "<=")                                                                                    \
    X(GE, ">=")                                                                                    \
    X(SET_ADD, "+=")                                                                               \
    X(SET_SUB, "-=")                                                                               \
    X(SET_MUL, "*=")                                                                               \
    X(SET_DIV, "/=")                                                                               \
    X(SET_MOD, "%=")                                                                               \
    X(SET_MATMUL, "@=")                                                                            \
    X(SET_AND, "&=")                                                                               \
    X(SET_OR, "|=")                                                                                \
    X(SET_XOR, "^=")                                                                               \
    X(WALRUS, ":=")                                                                                \
    X(ARROW, "->")                                                                                 \
    X(UNEQUAL, "<>")                                                                               \
    X(ADD, "+")                                                                                    \
    X(SUB, "-")                                                                                    \
    X(MUL, "*")                                                                                    \
    X(DIV, "/")                                                                                    \
    X(MOD, "%")                                                                                    \
    X(MATMUL, "@")                                                                                 \
    X(AMPERSAND, "&")                                                                              \
    X(BAR, "|")                                                                                    \
    X(CARET, "^")                                                                                  \
    X(TILDE, "~")                                                                                  \
    X(LT, "<")                                                                                     \
    X(GT, ">")                                                                                     \
    X(SET, "=")                                                                                    \
    X(DOT, ".")                                                                                    \
    X(COMMA, ",")                                                                                  \
    X(COLON, ":")                                                                                  \
    X(SEMICOLON, ";")                                                                              \
    X(PAREN, "(")                                                                                  \
    X(PAREN_END, ")")                                                                              \
    X(BRACKET, "[")                                                                                \
    X(BRACKET_END, "]")                                                                            \
    X(BRACE, "{")                                                                                  \
    X(BRACE_END, "}")

enum token_kind {
    TOKEN_ERROR, /* the flaw says what */
    TOKEN_END,
    TOKEN_NEWLINE, /* the end of a logical line */
    TOKEN_INDENT,
    TOKEN_DEDENT,
    TOKEN_NAME,
    TOKEN_INT,
    TOKEN_FLOAT,
    TOKEN_COMPLEX,
    TOKEN_STRING,
    TOKEN_UNKNOWN, /* ! $ ? ` */
#define LEXER_TOKEN(name, text) TOKEN_##name,
    LEXER_KEYWORDS(LEXER_TOKEN) LEXER_MARKS(LEXER_TOKEN)
#undef LEXER_TOKEN
        TOKEN_COUNT
};

struct token {
    enum token_kind kind;
    struct place place;
    const char *text;
    size_t bytes;
};

/* Why a program is none. The order is what Python reports first: a flaw of a later token, if it
 * is LEXICAL, before one of its SYNTAX. */
enum flaw_kind {
    FLAW_NONE,
    FLAW_SYNTAX,   /* found by the parser */
    FLAW_LEXICAL,  /* found in a token: "unterminated string literal" */
    FLAW_LINES,    /* found between tokens: indentation, `\`, the end in the midst of something */
    FLAW_UNCLOSED, /* the end inside brackets; place: of the innermost one */
    FLAW_FINAL,    /* not a mistake in Python: a limit, or what this language has not */
    FLAW_NOMEM,
};
struct flaw {
    enum flaw_kind kind;
    struct place place;
    char message[256];
};
/* The first flaw stays. */
void flaw_set(struct flaw *f, enum flaw_kind kind, struct place place, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* A position in a text that is valid UTF-8, has no NUL and whose lines end with \n alone. */
struct cursor {
    const char *at, *end;
    struct place place; /* of at */
};
/* The byte i behind at, 0 at the end. */
static inline char cursor_peek(const struct cursor *c, size_t i)
{
    return i < (size_t)(c->end - c->at) ? c->at[i] : '\0';
}
/* Goes on by one byte, which must be there. */
static inline void cursor_step(struct cursor *c)
{
    unsigned char byte = (unsigned char)*c->at++;
    if (byte == '\n') {
        c->place.line++;
        c->place.column = 1;
    } else if (byte < 0x80 || byte >= 0xC0) /* a character's first byte */
        c->place.column++;
}

struct bracket {
    char opening;
    struct place place;
};

struct lexer {
    struct cursor cursor;
    struct flaw *flaw;
    bool line_begins;
    bool inside; /* a field of an f-string: as in brackets */
    int pending; /* INDENT (1) or DEDENTs (< 0) to come */
    int level, indents;
    struct place newline; /* of the last line: where Python says that the program ends */
    struct bracket brackets[PROGRAM_DEPTH_MAX];
    /* Widths of the open blocks, with tabs of 8 and of 1: only if both agree, what a reader sees
     * does not depend on the tabs. */
    int wide[PROGRAM_DEPTH_MAX + 1], narrow[PROGRAM_DEPTH_MAX + 1];
};

/* Begins at c; the text of all tokens stays the caller's. */
void lexer_open(struct lexer *l, struct cursor c, bool inside, struct flaw *flaw);
/* The next token; after TOKEN_END or TOKEN_ERROR the same again. */
void lexer_next(struct lexer *l, struct token *t);
/* What kind of token lexer_next would give. */
enum token_kind lexer_ahead(const struct lexer *l);
/* Goes to the end of the program, for flaws that count more than the one that the parser found. */
struct flaw lexer_rest(const struct lexer *l);
/* Inside brackets: is a newline but a blank here? */
bool lexer_joins_lines(const struct lexer *l);

/* The two files behind lexer.c: at a digit or a point before one; at a quote. Both leave the cursor
 * behind the literal; TOKEN_ERROR: there is a flaw. */
enum token_kind lexer_number(struct lexer *l);
enum token_kind lexer_string(struct lexer *l, struct place start);
/* A character that begins no token, or a letter that names here have not. */
enum token_kind lexer_stranger(struct lexer *l);

static inline bool lexer_is_letter(char c)
{
    return ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || c == '_';
}
/* The value of a digit, up to 15; -1: it is none. */
static inline int lexer_digit(char c)
{
    char lower = (char)(c | 0x20);
    if ('0' <= c && c <= '9')
        return c - '0';
    return 'a' <= lower && lower <= 'f' ? lower - 'a' + 10 : -1;
}

#endif
