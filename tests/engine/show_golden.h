/* tests/engine/show_golden.h - reads tests/data/golden/show.txt, one case after the other.
 *
 * All memory is the lab's. A file that cannot be read fails the test. */
#ifndef TESTS_SHOW_GOLDEN_H
#define TESTS_SHOW_GOLDEN_H

#include "engine/show.h"

void golden_open(void);
void golden_close(void);

/* The line that begins the next case; NULL: there are no more. */
const char *golden_next(void);
/* Skips the word if it comes next. */
bool golden_skip(const char *word);
/* The value that is written next. */
struct value golden_value(void);
/* The lines that begin with the mark, without it, joined. */
struct text golden_lines(char mark);
/* Is an error expected? */
bool golden_refused(void);

/* An empty text; count zeroed things. */
struct text golden_text(size_t max);
void *golden_room(size_t count, size_t size);

#endif
