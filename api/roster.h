/* api/roster.h - the registry's entries by id: a table that grows with them.
 *
 * Threads: no locks here; the registry's guards all of it.
 */
#ifndef API_ROSTER_H
#define API_ROSTER_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/attr.h"

struct session;

struct roster_entry {
    struct roster_entry *next; /* in its bucket */
    struct session *session;   /* NULL while it is being loaded */
    size_t hash;               /* of id */
    bool busy;                 /* being loaded, deleted or put away: only who does so may go on */
    bool wanted;               /* … and somebody waits for the end of it */
    char id[];
};

struct roster {
    struct roster_entry **bucket; /* as many as a power of two */
    size_t buckets, entries;
};

/* false: no memory. */
MUST_USE bool roster_init(struct roster *r);
/* Frees the entries; their sessions are the caller's. */
void roster_close(struct roster *r);
/* NULL: there is none. */
struct roster_entry *roster_find(const struct roster *r, const char *id);
/* An entry for an id that has none; NULL: no memory. */
MUST_USE struct roster_entry *roster_add(struct roster *r, const char *id);
/* Frees the entry of id, which there is. */
void roster_remove(struct roster *r, const char *id);
/* Of memory, that one entry takes with its part of the table. */
size_t roster_entry_bytes(const char *id);
/* Calls visit for the session of every entry. */
void roster_each(const struct roster *r, void (*visit)(struct session *s, void *arg), void *arg);

#endif
