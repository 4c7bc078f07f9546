/* tests/engine/op_reference.h - the rows of OPS in plain double arithmetic; see op_rules.h. */
#ifndef TESTS_OP_REFERENCE_H
#define TESTS_OP_REFERENCE_H

#include "tests/engine/op_rules.h"

#define REFERENCE(id, fn, node, arity, saves, flags)                                               \
    void reference_##fn(const struct op_args *a, const struct values *in, struct values *y);
OPS(REFERENCE)
#define PLAIN_REFERENCE(id, fn, inputs, flags) REFERENCE(id, fn, NULL, inputs, SAVE_NONE, flags)
PLAIN_OPS(PLAIN_REFERENCE)
#undef PLAIN_REFERENCE
#undef REFERENCE

#endif
