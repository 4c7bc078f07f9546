/* engine/operators.h - Python's operators, by what they are used on.
 *
 *   numbers.c    bool, int and float, as Python has them
 *   equality.c   ==, is and in, on anything
 *   operators.c  tensors, strings and lists, and the choice between all
 */
#ifndef ENGINE_OPERATORS_H
#define ENGINE_OPERATORS_H

#include "engine/interp_inside.h"

/* a op b of two numbers. errors INVALID, also: by zero, an integer over 64 bits */
MUST_USE enum err_kind operate_numbers(enum tree_operator op, const struct value *a,
                                       const struct value *b, struct value *out, struct err *e);
/* a == b, a < b, … of two numbers. */
bool compare_numbers(enum tree_operator op, const struct value *a, const struct value *b);

/* a == b of what is no tensor. errors INVALID: lists too deep or too long */
MUST_USE enum err_kind values_equal(const struct value *a, const struct value *b, bool *same,
                                    struct err *e);
/* a is b */
MUST_USE enum err_kind values_same(const struct value *a, const struct value *b, bool *same,
                                   struct err *e);
/* item in list. errors INVALID, also: list is none */
MUST_USE enum err_kind value_contains(const struct value *item, const struct value *list,
                                      bool *found, struct err *e);

enum err_kind operator_unsupported(enum tree_operator op, const struct value *a,
                                   const struct value *b, struct err *e);
/* Does an order of -1, 0 or 1 fulfil a comparison? */
bool order_fulfils(enum tree_operator op, int order);

#endif
