/* tests/storage/store_fixture.h - a store in a folder of its own, and short ways to fill it. */
#ifndef TESTS_STORAGE_STORE_FIXTURE_H
#define TESTS_STORAGE_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/store.h"

struct fixture {
    char folder[64];
    char path[80];
    struct store *store; /* NULL while closed */
};

/* For every store_open: the tests run on whatever file system there is. */
extern const struct store_options anywhere;

/* cmocka's setup and teardown: *state is a struct fixture with an open, empty store. The folder
 * goes with it. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);
void fixture_reopen(struct fixture *f);
void fixture_renew(struct fixture *f); /* empty again */

/* What the latest call said; every call in the tests is given it. */
extern struct err last;
/* Fails with last.message if the call's kind is another. */
#define assert_kind(kind, call) check_kind((kind), (call), #call, __FILE__, __LINE__)
#define assert_ok(call)         assert_kind(ERR_OK, call)
void check_kind(enum err_kind expected, enum err_kind is, const char *call, const char *file,
                int line);
/* last.message contains text. */
void assert_said(const char *text);

/* Bytes that depend on seed. */
void fill(void *data, size_t bytes, uint64_t seed);
void assert_filled(const void *data, size_t bytes, uint64_t seed);

/* Each in a transaction of its own. */
int64_t put_model(struct store *s, const char *id);
enum err_kind put_batch(struct store *s, int64_t model, int64_t n, size_t bytes);
/* Two sections, "parameters" and "momentum" of bytes and bytes / 2, filled by step. */
enum err_kind put_checkpoint(struct store *s, int64_t model, int64_t n, int64_t step, size_t bytes);
/* The loss of step i is loss_of(i). */
enum err_kind put_losses(struct store *s, int64_t model, int64_t first, size_t count);
double loss_of(int64_t step);
struct store_txn *begin(struct store *s);
/* The model's change of that number, to be committed. */
struct store_txn *change_txn(struct store *s, int64_t model, int64_t seq);

/* Whole files, for stores that are closed. read_file: the caller frees. */
unsigned char *read_file(const char *path, size_t *bytes);
void write_file(const char *path, const void *data, size_t bytes);
void copy_file(const char *from, const char *to);

/* Plain SQL on the file of a closed store. */
void sql_run(const char *path, const char *sql);
int64_t sql_number(const char *path, const char *sql);

#endif
