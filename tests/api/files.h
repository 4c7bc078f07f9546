/* tests/api/files.h - bodies that are files of arrays, built by hand from the formats' definitions,
 * and their answers taken apart.
 */
#ifndef TESTS_API_FILES_H
#define TESTS_API_FILES_H

#include "tests/api/client.h"

#define NPY         "application/x-npy"
#define SAFETENSORS "application/x-safetensors"

struct file {
    char bytes[4096];
    size_t count;
};

/* An array: type in the format's own name ("<f4", "F32"), shape as it stands there ("(2, 3)",
 * "[2,3]"). */
struct file npy_file(const char *type, const char *shape, const void *data, size_t bytes);
struct array {
    const char *name, *type, *shape;
    const void *data;
    size_t bytes;
};
/* A NULL name ends the arrays. metadata: JSON, or NULL. */
struct file safetensors_file(const char *metadata, const struct array *arrays);

/* A request with the file as its body (NULL: none) and Accept (NULL: none). */
const struct reply *ask_file(struct client *c, const char *method, const char *target,
                             const char *type, const struct file *body, const char *accept);
const struct reply *expect_file(struct client *c, int status, const char *method,
                                const char *target, const char *type, const struct file *body,
                                const char *accept);

/* The numbers of an answered .npy file, whose head must be this literal. */
const void *npy_of(const struct reply *r, const char *literal);
/* The numbers of an array of an answered safetensors file, whose description must be
 * {"dtype","shape"} so; NULL: there is no such array. */
const void *array_of(const struct reply *r, const char *name, const char *type, const char *shape);
/* What its metadata says; NULL: nothing. The text lives until the next call. */
const char *metadata_of(const struct reply *r, const char *name);

/* ---- a batch for create_net ---------------------------------------------------------------- */

extern const float inputs[4][2], targets[4];
extern const double wide[4][2]; /* the inputs once more */
/* The same as JSON, a printf format for what is to stand behind it. */
#define BATCH                                                                                      \
    "{\"inputs\":[[0.25,1],[-0.5,0.1],[0.75,-1],[-0.25,0.3]],\"targets\":[[1],[0.25],[-1],[0.5]]%" \
    "s}"
#define INPUTS                                                                                     \
    {                                                                                              \
        "inputs", "F32", "[4,2]", inputs, sizeof inputs                                            \
    }
#define TARGETS                                                                                    \
    {                                                                                              \
        "targets", "F32", "[4,1]", targets, sizeof targets                                         \
    }

/* The numbers that a GET gives as JSON, flat. free() it. */
double *json_numbers(struct client *c, const char *target, const char *pointer);
/* The bytes are these numbers as float32. */
void assert_floats(const void *data, const double *want, size_t count);

#endif
