/* engine/tree.h: Python 3.11 judges what a program is, what it means and what is wrong with it
 * (syntax_cases.inc, written by gen_syntax.py); what only this language has is written here. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/decimal.h"
#include "engine/tree.h"
#include "tests/engine/tree_text.h"

struct example {
    const char *source, *answer;
};

static const struct example as_python[] = {
#include "tests/engine/syntax_cases.inc"
};

/* "!line:column message", or the tree. The text stands at the end of its own block, so that
 * reading on would be seen by the address sanitizer. To be freed. */
static char *ask(const char *source, size_t bytes, bool places)
{
    struct program p;
    struct place where;
    struct err e;
    char *text, *block = malloc(bytes ? bytes : 1);
    assert_non_null(block);
    memcpy(block, source, bytes);
    if (program_parse(block, bytes, &p, &where, &e)) {
        assert_int_equal(e.kind, ERR_INVALID);
        assert_string_equal(e.pointer, "");
        text = malloc(sizeof e.message + 40);
        assert_non_null(text);
        snprintf(text, sizeof e.message + 40, "!%d:%d %s", where.line, where.column, e.message);
    } else {
        memset(block, '#', bytes); /* the tree keeps nothing of it */
        text = tree_text(&p, places);
    }
    program_close(&p);
    free(block);
    return text;
}

static bool has_places(const char *answer)
{
    const char *at = strchr(answer, '@');
    while (at && !('0' <= at[1] && at[1] <= '9'))
        at = strchr(at + 1, '@');
    return at;
}

static void check(const char *source, size_t bytes, const char *expected)
{
    char *answer = ask(source, bytes, has_places(expected));
    if (strcmp(answer, expected) != 0)
        fail_msg("%.*s\n    gives    %s\n    not      %s", (int)bytes, source, answer, expected);
    free(answer);
}

static void check_all(const struct example *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check(rows[i].source, strlen(rows[i].source), rows[i].answer);
}
#define CHECK_ALL(rows) check_all(rows, sizeof(rows) / sizeof *(rows))

static void test_python(void **state)
{
    (void)state;
    CHECK_ALL(as_python);
}

/* What Python takes: the message without "not part of this language". */
static void test_refused(void **state)
{
    (void)state;
    static const struct example rows[] = {
        {"for x in y:\n  z", "!1:1 'for' is"},
        {"while a: b", "!1:1 'while' is"},
        {"if a: b", "!1:1 'if' as a statement is"},
        {"x = 1\nif a:\n  b\nelse:\n  c", "!2:1 'if' as a statement is"},
        {"elif a: b", "!1:1 'elif' is"},
        {"with a:\n  for x in y: z", "!2:3 'for' is"},
        {"def f(): pass", "!1:1 'def' is"},
        {"async def f(): pass", "!1:1 'async' is"},
        {"class A: pass", "!1:1 'class' is"},
        {"try:\n  a\nexcept: b", "!1:1 'try' is"},
        {"except: b", "!1:1 'except' is"},
        {"finally: b", "!1:1 'finally' is"},
        {"return 1", "!1:1 'return' is"},
        {"raise x", "!1:1 'raise' is"},
        {"del x", "!1:1 'del' is"},
        {"global x", "!1:1 'global' is"},
        {"nonlocal x", "!1:1 'nonlocal' is"},
        {"break", "!1:1 'break' is"},
        {"continue", "!1:1 'continue' is"},
        {"await x", "!1:1 'await' is"},
        {"yield", "!1:1 'yield' is"},
        {"x = yield 1", "!1:5 'yield' is"},
        {"f(lambda x: x)", "!1:3 'lambda' is"},
        {"a if b else lambda: c", "!1:13 'lambda' is"},
        {"match x:\n  case 1: y", "!1:1 'match' is"},
        {"match (x):\n  case 1: y", "!1:1 'match' is"},
        {"match x, y:\n  case 1: y", "!1:1 'match' is"},
        {"[x for x in y]", "!1:4 comprehensions ('for' in brackets) are"},
        {"f(x for x in y)", "!1:5 comprehensions ('for' in brackets) are"},
        {"(x async for x in y)", "!1:4 comprehensions ('for' in brackets) are"},
        {"(x := 1)", "!1:4 ':=' is"},
        {"f(x:=1)", "!1:4 ':=' is"},
        {"@a\ndef f(): pass", "!1:1 decorators ('@') are"},
        {"f(*a)", "!1:3 unpacking with '*' is"},
        {"f(a, *b)", "!1:6 unpacking with '*' is"},
        {"f(a=b, **c)", "!1:8 unpacking with '**' is"},
        {"[*a]", "!1:2 unpacking with '*' is"},
        {"x[*a]", "!1:3 unpacking with '*' is"},
        {"a, *b = c", "!1:4 unpacking with '*' is"},
        {"{}", "!1:1 dicts and sets ('{') are"},
        {"f({1: 2})", "!1:3 dicts and sets ('{') are"},
        {"b'a'", "!1:1 bytes literals are"},
        {"x = 'a' rb'a'", "!1:9 bytes literals are"},
        {"1 + 2j", "!1:5 complex numbers are"},
        {"x: int", "!1:2 type annotations (':' behind a name) are"},
        {"x.y: int = 1", "!1:4 type annotations (':' behind a name) are"},
        {"a << 1", "!1:3 '<<' is"},
        {"a >>= 1", "!1:3 '>>=' is"},
        {"with a as b: c", "!1:8 'as' other than in 'import' is"},
        {"with (a as b, c): d", "!1:9 'as' other than in 'import' is"},
        {"from . import a", "!1:6 relative 'import' is"},
        {"from ...a import b", "!1:6 relative 'import' is"},
        {"from a import *", "!1:15 'import *' is"},
        {"'a\\N{DASH}'", "!1:3 '\\N{...}' in a string is"},
        {"f'\\N{DASH}'", "!1:3 '\\N{...}' in a string is"},
        {"'\\ud800'", "!1:2 a surrogate in a string is"},
        {"x = 9223372036854775808", "!1:5 an integer beyond int64 is"},
        {"-9223372036854775809", "!1:2 an integer beyond int64 is"},
        {"-9223372036854775808 ** 2", "!1:2 an integer beyond int64 is"},
        {"-(9223372036854775808)", "!1:3 an integer beyond int64 is"},
        {"0xFFFF_FFFF_FFFF_FFFF", "!1:1 an integer beyond int64 is"},
        {"99999999999999999999999999", "!1:1 an integer beyond int64 is"},
        {"f'{lambda: a}'", "!1:4 'lambda' is"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char expected[120];
        snprintf(expected, sizeof expected, "%s not part of this language", rows[i].answer);
        check(rows[i].source, strlen(rows[i].source), expected);
    }
}

/* Python's words, but the place is where it is wrong, not the token behind the string. */
static void test_strings(void **state)
{
    static const struct example rows[] = {
        {"x = 'a\\x1g'",
         "!1:7 (unicode error) 'unicodeescape' codec can't decode bytes in position "
         "1-3: truncated \\xXX escape"},
        {"'\\u12'",
         "!1:2 (unicode error) 'unicodeescape' codec can't decode bytes in position 0-3: "
         "truncated \\uXXXX escape"},
        {"'é\\U123'", "!1:3 (unicode error) 'unicodeescape' codec can't decode bytes in position "
                      "10-14: truncated \\UXXXXXXXX escape"},
        {"'''\n\\U00110000'''", "!2:1 (unicode error) 'unicodeescape' codec can't decode bytes in "
                                "position 1-10: illegal Unicode character"},
        {"f'{a'", "!1:5 f-string: expecting '}'"},
        {"f'{'", "!1:4 f-string: expecting '}'"},
        {"f'{a:{b}'", "!1:9 f-string: expecting '}'"},
        {"f'{a!'", "!1:6 f-string: expecting '}'"},
        {"f'{a!r'", "!1:7 f-string: expecting '}'"},
        {"f'{a!r }'", "!1:7 f-string: expecting '}'"},
        {"f'{a='", "!1:6 f-string: expecting '}'"},
        {"f'}'", "!1:3 f-string: single '}' is not allowed"},
        {"f'{a:}}'", "!1:7 f-string: single '}' is not allowed"},
        {"f'{}'", "!1:4 f-string: empty expression not allowed"},
        {"f'{ }'", "!1:4 f-string: empty expression not allowed"},
        {"f'{!r}'", "!1:4 f-string: expression required before '!'"},
        {"f'{:>3}'", "!1:4 f-string: expression required before ':'"},
        {"f'{a!x}'", "!1:6 f-string: invalid conversion character: expected 's', 'r', or 'a'"},
        {"f'{a!}'", "!1:6 f-string: invalid conversion character: expected 's', 'r', or 'a'"},
        {"f'{a:{b:{c}}}'", "!1:9 f-string: expressions nested too deeply"},
        {"f'{a#}'", "!1:5 f-string expression part cannot include '#'"},
        {"f'{\"\\n\"}'", "!1:5 f-string expression part cannot include a backslash"},
        {"f'{a)}'", "!1:5 f-string: unmatched ')'"},
        {"f'{(a'", "!1:6 f-string: unmatched '('"},
        {"f'{(a]}'",
         "!1:6 f-string: closing parenthesis ']' does not match opening parenthesis '('"},
        {"f'{\"a}'", "!1:7 f-string: unterminated string"},
        {"f'''\n{a b}'''", "!2:2 f-string: invalid syntax. Perhaps you forgot a comma?"},
        {"f'é{a +}'", "!1:8 f-string: invalid syntax"},
        {"f'{f\"{a b}\"}'", "!1:7 f-string: invalid syntax. Perhaps you forgot a comma?"},
        {"f'{0777}'", "!1:4 leading zeros in decimal integer literals are not permitted; use an 0o "
                      "prefix for octal integers"},
        {"f'{x!r:{(y)}}' f'{a=}'", "(f@1:1 {x@1:4 !r :(f@1:8 {y@1:10})} \"a=\" {a@1:19 !r})"},
        {"f'''a\n{ b +\nc}'''", "(f@1:1 \"a\\x0a\" {(+@2:3 b@2:3 c@3:1)})"},
    };
    (void)state;
    CHECK_ALL(rows);
}

/* Where Python's answer is another, or none that can be compared. */
static void test_other(void **state)
{
    static const struct example rows[] = {
        {"f(a=1, a=2)", "!1:8 keyword argument repeated: a"}, /* Python's compiler says so */
        {"σ = 1", "!1:1 invalid character 'σ' (U+03C3): names are made of ASCII letters in this "
                  "language"},
        {"aé", "!1:2 invalid character 'é' (U+00E9): names are made of ASCII letters in this "
               "language"},
        {"with a:\n  with b:\nx",
         "!3:1 expected an indented block after 'with' statement on line 2"},
        {"  \\\nx", "!2:1 unexpected indent"},
        {"for x in y: z\nx = 'abc", "!1:1 'for' is not part of this language"},
    };
    (void)state;
    CHECK_ALL(rows);
    check("x\0y", 3, "!1:2 source code string cannot contain null bytes");
    check("x\n\xff", 3, "!2:1 the program is not valid UTF-8");
    check("'\xc3", 2, "!1:2 the program is not valid UTF-8");
    check("# \xc0\x80", 4, "!1:3 the program is not valid UTF-8");
    check("'\xed\xa0\x80'", 5, "!1:2 the program is not valid UTF-8");
    check("'\xf4\x90\x80\x80'", 6, "!1:2 the program is not valid UTF-8");
    check("'\xf4\x8f\xbf\xbf' 'a\rb", 11, "!1:5 unterminated string literal (detected at line 1)");
    check("xyz", 1, "x");
    check("", 0, "");
}

/* ---- limits ---- */

struct builder {
    char text[PROGRAM_BYTES_MAX + 2];
    size_t bytes;
};

static void put(struct builder *b, const char *text, int times)
{
    for (; times > 0; times--) {
        size_t bytes = strlen(text);
        assert_true(b->bytes + bytes <= sizeof b->text);
        memcpy(b->text + b->bytes, text, bytes);
        b->bytes += bytes;
    }
}

static const char *parse(const struct builder *b)
{
    static char message[sizeof((struct err *)NULL)->message];
    struct program p;
    struct place where;
    struct err e;
    bool fine = !program_parse(b->text, b->bytes, &p, &where, &e);
    snprintf(message, sizeof message, "%s", fine ? "" : e.message);
    if (fine)
        for (const struct tree *t = p.first; t; t = t->next)
            assert_in_range(t->height, 0, PROGRAM_DEPTH_MAX);
    program_close(&p);
    return message;
}

/* before x times, middle, after x times: fine for most, but not for one more. */
static void check_depth(const char *before, const char *middle, const char *after, int most,
                        const char *message)
{
    struct builder *b = calloc(1, sizeof *b);
    assert_non_null(b);
    for (int times = most; times <= most + 1; times++) {
        b->bytes = 0;
        put(b, before, times);
        put(b, middle, 1);
        put(b, after, times);
        const char *said = parse(b);
        if (strcmp(said, times == most ? "" : message) != 0)
            fail_msg("%d times %s: %s", times, before, said);
    }
    b->bytes = 0;
    put(b, before, (int)(PROGRAM_BYTES_MAX / strlen(before)));
    assert_string_not_equal(parse(b), "");
    free(b);
}

static void test_depth(void **state)
{
    static const char deep[] = "nested more than 100 levels deep",
                      brackets[] = "too many nested parentheses";
    static const struct {
        const char *before, *middle, *after;
        int most;
        const char *message;
    } rows[] = {
        {"(", "a", ")", 100, brackets},
        {"[", "a", "]", 100, brackets},
        {"f(", "a", ")", 100, brackets},
        {"a[", "b", "]", 100, brackets},
        {"-", "a", "", 100, deep},
        {"+ ~", "a", "", 50, deep},
        {"not ", "a", "", 100, deep},
        {"a ** ", "b", "", 100, deep},
        {"a if b else ", "c", "", 100, deep},
        {"a + ", "b", "", 100, deep},
        {"a or ", "b", "", 100, deep},
        {"a.", "b", "", 100, deep},
        {"f(a)(b)[", "c", "]", 98, deep},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_depth(rows[i].before, rows[i].middle, rows[i].after, rows[i].most, rows[i].message);
}

/* with a: with b: … on lines of their own. */
static void test_blocks(void **state)
{
    struct builder *b = calloc(1, sizeof *b);
    (void)state;
    assert_non_null(b);
    for (int levels = PROGRAM_DEPTH_MAX; levels <= PROGRAM_DEPTH_MAX + 1; levels++) {
        b->bytes = 0;
        for (int i = 0; i < levels; i++) {
            put(b, " ", i);
            put(b, "with a:\n", 1);
        }
        put(b, " ", levels);
        put(b, "pass", 1);
        assert_string_equal(parse(b),
                            levels == PROGRAM_DEPTH_MAX ? "" : "nested more than 100 levels deep");
    }
    b->bytes = 0;
    put(b, "with a", 1);
    put(b, ", a", PROGRAM_DEPTH_MAX);
    put(b, ": pass", 1);
    assert_string_equal(parse(b), "nested more than 100 levels deep");
    free(b);
}

/* Wide is no matter: only what is nested is bounded. */
static void test_size(void **state)
{
    static const char *const wide[][3] = {{"x = [", "a,", "]"},    {"f(", "a,", ")"},
                                          {"", "x = ", "1"},       {"", "'a' ", ""},
                                          {"f'", "{a}", "'"},      {"a", " < a", ""},
                                          {"x", "\n", "y"},        {"x", " ", "\ny"},
                                          {"", "pass;", ""},       {"from a import b", ", b", ""},
                                          {"", "f'{a}' 'b' ", ""}, {"x = '", "\\x41", "'"}};
    struct builder *b = calloc(1, sizeof *b);
    (void)state;
    assert_non_null(b);
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        size_t edge = strlen(wide[i][0]) + strlen(wide[i][2]), each = strlen(wide[i][1]);
        b->bytes = 0;
        put(b, wide[i][0], 1);
        put(b, wide[i][1], (int)((PROGRAM_BYTES_MAX - edge) / each));
        put(b, wide[i][2], 1);
        assert_string_equal(parse(b), "");
    }
    b->bytes = 0;
    put(b, " ", (int)PROGRAM_BYTES_MAX);
    assert_string_equal(parse(b), "");
    put(b, " ", 1);
    assert_string_equal(parse(b), "a program has at most 65536 bytes, this one has 65537");
    b->bytes = 0;
    put(b, "from a", 1);
    put(b, ".b", 99);
    put(b, " import c", 1);
    assert_string_equal(parse(b), "a module's name has at most 200 bytes");
    b->bytes = 0;
    put(b, "f(", 1);
    for (int i = 0; i < 256; i++) {
        char argument[16];
        snprintf(argument, sizeof argument, "a%d=1,", i);
        assert_string_equal(parse(b), "'(' was never closed");
        put(b, argument, 1);
    }
    assert_string_equal(parse(b), "a call has at most 255 keyword arguments");
    free(b);
}

/* ---- what the text of a tree does not show ---- */

static void test_details(void **state)
{
    static const char source[] = "import a.b as c, d\n'x\\0y'\nwith a, b: pass; pass\n-9.5";
    struct program p;
    struct place where;
    struct err e;
    (void)state;
    assert_int_equal(program_parse(source, strlen(source), &p, &where, &e), ERR_OK);
    assert_int_equal(p.statements, 8);
    assert_string_equal(p.first->text, "a.b");
    assert_int_equal(p.first->bytes, 3);
    const struct tree *string = p.first->next->next;
    assert_int_equal(string->kind, TREE_EXPRESSION);
    assert_int_equal(string->a->bytes, 3);
    assert_memory_equal(string->a->text, "x\0y", 4);
    const struct tree *with = string->next;
    assert_int_equal(with->kind, TREE_WITH);
    assert_null(with->items->next);
    assert_int_equal(with->items->kind, TREE_WITH);
    assert_non_null(with->items->items->next);
    assert_int_equal(with->height, 2);
    program_close(&p);
    program_close(&p);
}

/* ---- memory ---- */

static int fault_after;

static bool fault(size_t bytes)
{
    (void)bytes;
    return fault_after-- == 0;
}

/* The n-th allocation fails, for each n. */
static int check_faults(const struct builder *b)
{
    for (int n = 0;; n++) {
        struct program p;
        struct place where;
        struct err e;
        fault_after = n;
        mem_fault = fault;
        enum err_kind kind = program_parse(b->text, b->bytes, &p, &where, &e);
        mem_fault = NULL;
        program_close(&p);
        if (fault_after >= 0) {
            assert_int_equal(kind, ERR_OK);
            return n;
        }
        assert_int_equal(kind, ERR_NOMEM);
        assert_int_equal(e.kind, ERR_NOMEM);
    }
}

/* A program's arena asks for 2 KiB at first, and then for as much as it has. A string in front, as
 * long in the copy of the program as in its tree, moves the ends of the chunks through the program,
 * one piece after another. */
static void test_faults(void **state)
{
    static const char *const programs[] = {
        "x = f(a, b=-1)[1:, ...].c if not d else 'e' 'f'\n",
        "with a, b:\n  f'a{b!r:>{c}}{d=}'; assert e, (1.5, [None, x < y < z])\n",
        "import a.b as c; from d import e, f as g; x += 1; y, (z) = ~a ** b or c and d\n"};
    struct builder *b = calloc(1, sizeof *b);
    (void)state;
    assert_non_null(b);
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        int fewest = 99, most = 0;
        for (int shift = 0; shift < 8192; shift += MEM_ALIGN / 2) {
            b->bytes = 0;
            put(b, "'", 1);
            put(b, "x", shift);
            put(b, "'\n", 1);
            put(b, programs[i], 1);
            int faults = check_faults(b);
            fewest = faults < fewest ? faults : fewest;
            most = faults > most ? faults : most;
        }
        assert_true(fewest >= 1);
        assert_true(most > fewest);
    }
    free(b);
}

static int set_up(void **state)
{
    (void)state;
    decimal_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_python),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_strings), cmocka_unit_test(test_other),
        cmocka_unit_test(test_depth),   cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_size),    cmocka_unit_test(test_details),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
