/* engine/expression.h - modules that a program computes, as module.c sees them; for it only. */
#ifndef ENGINE_EXPRESSION_H
#define ENGINE_EXPRESSION_H

#include "engine/module.h"

/* module_forward and module_facts of a module with a program. */
MUST_USE enum err_kind expression_forward(struct module *m, struct tape *t, struct tensor *x,
                                          struct tensor **y, struct err *e);
MUST_USE enum err_kind expression_facts(const struct module *m, const struct shape *x,
                                        struct module_facts *out, struct err *e);

#endif
