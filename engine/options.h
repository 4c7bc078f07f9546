/* engine/options.h - the named arguments of a layer, a loss or an optimizer, as one list.
 *
 * A row of a table (layers, losses) says which arguments it takes, with PyTorch's names, defaults
 * and bounds; whoever reads or writes them (the api, in JSON) walks the list and knows none of
 * them by name. Values are doubles: integers are exact up to 2^53, a bool is 0 or 1, a choice is
 * its index, and NaN is PyTorch's None.
 */
#ifndef ENGINE_OPTIONS_H
#define ENGINE_OPTIONS_H

#include <math.h>
#include <stdbool.h>

#define OPTIONS_MAX    6
#define OPTION_INT_MAX 9007199254740992.0 /* 2^53 */

enum option_kind { OPTION_NONE, OPTION_NUMBER, OPTION_INTEGER, OPTION_BOOL, OPTION_CHOICE };

struct option {
    const char *name;
    enum option_kind kind; /* OPTION_NONE ends a list */
    bool required;
    bool above; /* min itself is not allowed */
    double fallback, min, max;
    const char *const *choices; /* NULL ends them */
};

/* A row of a table of named things with options. */
struct options {
    const char *type; /* "linear", "huber", "sgd" */
    struct option option[OPTIONS_MAX + 1];
};

#endif
