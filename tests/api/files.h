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

#endif
