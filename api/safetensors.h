/* api/safetensors.h - named arrays as Hugging Face's safetensors keeps them.
 *
 * A file is 8 bytes, the length of the head, least byte first; the head, a JSON object {name:
 * {"dtype", "shape", "data_offsets": [from, to]}, "__metadata__": {text: text}}; and the bytes that
 * the offsets speak of, without holes. Source: the format's description in the README of
 * github.com/huggingface/safetensors.
 */
#ifndef API_SAFETENSORS_H
#define API_SAFETENSORS_H

#include "api/tensors.h"

#define SAFETENSORS_HEAD_MAX ((size_t)1 << 20)

/* Reads the head of a whole file; the arrays' data points into it, and lies at any address.
 *   fields  what __metadata__ says, as if it were a JSON body: texts that are numbers, true, false
 *           or null become these. "format", by which libraries name themselves, is left out
 *   errors  MALFORMED no such file, or cut, or its offsets are not those of its shapes
 *           INVALID   a type or a shape that no tensor has · NOMEM
 *   after   tensors_close, json_close(fields) */
MUST_USE enum err_kind safetensors_read(const void *file, size_t bytes, struct tensors *out,
                                        struct json *fields, struct err *e);

/* Numbers as metadata has them: what JSON has in their place, without quotes. Return text. */
#define TEXT_OF_NUMBER 32
const char *text_of_int(int64_t x, char text[TEXT_OF_NUMBER]);
const char *text_of_real(enum dtype dtype, double x, char text[TEXT_OF_NUMBER]);

/* What is to be written. */
struct named_tensor {
    const char *name;
    const struct tensor *tensor;
};
/* A file, from the start of out on. metadata: pairs of name and text; NULL ends them. */
void safetensors_write(struct json_out *out, const char *const *metadata,
                       const struct named_tensor *list, size_t count);

#endif
