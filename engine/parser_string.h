/* engine/parser_string.h - what the two files that read strings share; inside parser_*.c only.
 *
 * A string's text stays in the program until it is decoded; a cursor goes through it, so that what
 * is wrong inside has a place.
 */
#ifndef ENGINE_PARSER_STRING_H
#define ENGINE_PARSER_STRING_H

#include "engine/parser.h"

struct string {
    struct cursor body;
    bool raw, formatted, bytes;
};

/* Do three quotes stand here? */
static inline bool string_triple(const struct cursor *c, char quote)
{
    return cursor_peek(c, 0) == quote && cursor_peek(c, 1) == quote && cursor_peek(c, 2) == quote;
}

/* Adds the text from c to end, decoded, unless it is empty; false: a flaw. */
bool string_text(struct parser *p, struct cursor c, const char *end, bool raw, struct items *out);
/* Adds the texts and fields of an f-string's body; in a format (level > 0) up to the brace that
 * ends its field. false: a flaw. */
bool string_pieces(struct parser *p, struct string *s, int level, struct items *out);

#endif
