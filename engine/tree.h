/* engine/tree.h - a program of the expression language, parsed.
 *
 * The language is a loop-free subset of Python: assignments (also augmented, chained, to tuples,
 * attributes and items), expression statements, `with`, `import`, `pass`, `assert`. What Python has
 * and this language has not is refused by name. Strings hold valid UTF-8, perhaps with NULs.
 *
 * Ownership: a tree and its texts lie in its program's arena.
 * Threads:   immutable once parsed.
 */
#ifndef ENGINE_TREE_H
#define ENGINE_TREE_H

#include "engine/err.h"
#include "engine/mem.h"

#define PROGRAM_BYTES_MAX ((size_t)64 << 10)
/* Levels of a tree, and of brackets: of nested expressions and blocks, and of chains (a + b + c,
 * a.b.c), where each link is a level. Arguments, fields and small statements are none. */
#define PROGRAM_DEPTH_MAX 100

enum tree_kind {
    /* expressions: what they use of a, b, c, items and text */
    TREE_NONE,
    TREE_TRUE,
    TREE_FALSE,
    TREE_ELLIPSIS,
    TREE_INT,         /* integer */
    TREE_FLOAT,       /* number */
    TREE_STRING,      /* text, bytes */
    TREE_FSTRING,     /* items: TREE_STRING and TREE_FIELD */
    TREE_FIELD,       /* {a!r:spec}: a; conversion; b: a TREE_FSTRING for the spec, or NULL; with
                         {a=} text is the source before the field, else NULL */
    TREE_NAME,        /* text */
    TREE_TUPLE,       /* items */
    TREE_LIST,        /* items */
    TREE_UNARY,       /* op a */
    TREE_BINARY,      /* a op b */
    TREE_COMPARE,     /* a, then items: TREE_BINARY with op, b and b's place only: a < b < c */
    TREE_AND,         /* a and b */
    TREE_OR,          /* a or b */
    TREE_NOT,         /* not a */
    TREE_CONDITIONAL, /* a if b else c */
    TREE_ATTRIBUTE,   /* a . text */
    TREE_CALL,        /* a ( items: TREE_ARGUMENT ) */
    TREE_ARGUMENT,    /* a, named text or NULL; positional ones come first */
    TREE_INDEX,       /* a [ b ]; of x[1, 2] b is a TREE_TUPLE */
    TREE_SLICE,       /* a : b : c, each may be NULL; only inside TREE_INDEX */

    /* statements */
    TREE_EXPRESSION, /* a */
    TREE_ASSIGN,     /* items: the targets, first to last; b: the value. A target is a TREE_NAME,
                        TREE_ATTRIBUTE, TREE_INDEX, or a TREE_TUPLE of such */
    TREE_AUGMENTED,  /* a op= b; a: TREE_NAME, TREE_ATTRIBUTE or TREE_INDEX */
    TREE_WITH,       /* with a: items, at least one; `with a, b:` is two, one in the other */
    TREE_IMPORT,     /* import text as name: text "torch.nn.functional"; a: TREE_NAME that is bound;
                        integer: the parts of text that it stands for (of `import torch.nn` the
                        first, of `import torch.nn as n` both). `from torch import nn, optim as o`
                        makes one such statement a name: text "torch.nn", and b: TREE_NAME "torch",
                        the module; else b is NULL */
    TREE_PASS,
    TREE_ASSERT, /* assert a, b; b may be NULL */
};

/* Operators of TREE_UNARY, TREE_BINARY, TREE_COMPARE and TREE_AUGMENTED, and their text. */
#define TREE_OPERATORS(X)                                                                          \
    X(ADD, "+")                                                                                    \
    X(SUB, "-")                                                                                    \
    X(MUL, "*")                                                                                    \
    X(DIV, "/")                                                                                    \
    X(FLOOR_DIV, "//")                                                                             \
    X(MOD, "%")                                                                                    \
    X(POW, "**")                                                                                   \
    X(MATMUL, "@")                                                                                 \
    X(AND, "&")                                                                                    \
    X(OR, "|")                                                                                     \
    X(XOR, "^")                                                                                    \
    X(INVERT, "~")                                                                                 \
    X(EQ, "==")                                                                                    \
    X(NE, "!=")                                                                                    \
    X(LT, "<")                                                                                     \
    X(LE, "<=")                                                                                    \
    X(GT, ">")                                                                                     \
    X(GE, ">=")                                                                                    \
    X(IS, "is")                                                                                    \
    X(IS_NOT, "is not")                                                                            \
    X(IN, "in")                                                                                    \
    X(NOT_IN, "not in")
enum tree_operator {
#define TREE_OPERATOR(name, text) TREE_OP_##name,
    TREE_OPERATORS(TREE_OPERATOR)
#undef TREE_OPERATOR
        TREE_OP_COUNT
};
extern const char *const tree_operator_text[TREE_OP_COUNT];

struct builtin;

struct place {
    int line, column; /* from 1; the column counts characters, not bytes */
};

struct tree {
    enum tree_kind kind;
    enum tree_operator op;
    struct place place; /* where it begins, as Python's ast has it: of TREE_BINARY, TREE_CALL,
                           TREE_INDEX, TREE_ATTRIBUTE, …: where its a begins, with its brackets */
    struct tree *next;  /* behind it in a list of items, or the next statement */
    struct tree *a, *b, *c, *items;
    const char *text; /* NUL-terminated, bytes long */
    size_t bytes;
    int64_t integer;
    double number;
    char conversion; /* of TREE_FIELD: 'r', 's', 'a' or 0 */
    int height;      /* levels below it: at most PROGRAM_DEPTH_MAX */
    /* Set by program_bind (engine/interp.h): */
    const struct builtin *row;
    bool of_module; /* row is a module's function: torch.relu, not x.relu */
};

struct program {
    struct arena arena;
    struct tree *first; /* the statements; NULL: there are none */
    int statements;     /* also those in blocks */
};

/* Parses text (any bytes, no NUL needed).
 *   errors  INVALID not a program of this language, in Python's words: "invalid syntax",
 *                   "unterminated string literal (detected at line 1)", …; or "'for' is not part of
 *                   this language"; over PROGRAM_BYTES_MAX or PROGRAM_DEPTH_MAX. *where says
 *                   where, as Python's SyntaxError does; in the message it does not stand
 *           NOMEM
 *   after   program_close, also after an error */
MUST_USE enum err_kind program_parse(const char *text, size_t bytes, struct program *out,
                                     struct place *where, struct err *e);
void program_close(struct program *p); /* a zeroed one is fine */

#endif
