#include "tests/bench/row.h"

#include <stdio.h>

static void print_text(const char *key, const char *text)
{
    if (text)
        printf("\"%s\":\"%s\",", key, text);
    else
        printf("\"%s\":null,", key);
}

static void print_spread(const char *key, const struct spread *s)
{
    if (s)
        printf("\"%s\":[%.6g,%.6g,%.6g],", key, s->low, s->median, s->high);
    else
        printf("\"%s\":null,", key);
}

void row_print(const struct row *row)
{
    putchar('{');
    print_text("bench", row->bench);
    print_text("what", row->what);
    print_text("beside", row->beside);
    print_text("unit", row->unit);
    print_spread("figure", row->figure);
    print_spread("peer", row->peer);
    print_spread("ratio", row->ratio);
    if (row->target)
        printf("\"target\":[\"%s\",\"%s\",%g]}\n", row->target->of, row->target->sense,
               row->target->value);
    else
        printf("\"target\":null}\n");
    fflush(stdout);
}
