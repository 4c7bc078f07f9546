/* tests/engine/programs.h - programs of the expression language, run to their end. Within a group
 * that has called decimal_init. */
#ifndef TESTS_PROGRAMS_H
#define TESTS_PROGRAMS_H

#include "engine/interp.h"

/* One program and its run. */
struct run {
    struct program program;
    struct tape tape;
    struct interp in;
    struct place where; /* of the error */
    struct err e;
};

/* Parses and binds it; r has to be ended also after an error. pure: as a model's forward is. */
enum err_kind run_start(struct run *r, const char *text, bool pure);
enum err_kind run_all(struct run *r);
void run_end(struct run *r);

/* The program prints that, and nothing goes wrong. */
void assert_prints(const char *text, const char *printed);
/* It fails there, with these words in its message. */
void assert_fails(const char *text, int line, int column, const char *words);

#endif
