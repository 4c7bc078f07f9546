/* tests/engine/tree_text.h - a program's tree as text, so that a test can say what it expects.
 *
 * S-expressions, statements separated by blanks: "x = a + 1; f(x, y=2)" is
 * (= x (+ a 1)) (call f x y=2). tests/data/gen_syntax.py writes what Python parses the same way.
 */
#ifndef TESTS_ENGINE_TREE_TEXT_H
#define TESTS_ENGINE_TREE_TEXT_H

#include <stdbool.h>

#include "engine/tree.h"

/* The text, to be freed. places: with @line:column behind each name, constant and "(" */
char *tree_text(const struct program *p, bool places);

#endif
