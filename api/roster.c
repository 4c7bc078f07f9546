#include "api/roster.h"

#include <stdint.h>
#include <string.h>

#include "engine/mem.h"

#define BUCKETS_AT_FIRST ((size_t)1024)

bool roster_init(struct roster *r)
{
    *r = (struct roster){.buckets = BUCKETS_AT_FIRST};
    r->bucket = mem_array(r->buckets, sizeof *r->bucket);
    return r->bucket != NULL;
}

void roster_close(struct roster *r)
{
    for (size_t i = 0; i < r->buckets; i++)
        for (struct roster_entry *entry = r->bucket[i], *next; entry; entry = next) {
            next = entry->next;
            mem_free(entry);
        }
    mem_free(r->bucket);
}

void roster_each(const struct roster *r, void (*visit)(struct session *s, void *arg), void *arg)
{
    for (size_t i = 0; i < r->buckets; i++)
        for (struct roster_entry *entry = r->bucket[i]; entry; entry = entry->next)
            visit(entry->session, arg);
}

/* FNV-1a */
static size_t hash_of(const char *id)
{
    uint64_t h = 14695981039346656037u;
    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * 1099511628211u;
    return (size_t)h;
}

/* The place of id's entry: it, or the NULL at the end of its bucket. */
static struct roster_entry **place_of(const struct roster *r, const char *id)
{
    size_t hash = hash_of(id);
    struct roster_entry **place = &r->bucket[hash & (r->buckets - 1)];
    while (*place && ((*place)->hash != hash || strcmp((*place)->id, id) != 0))
        place = &(*place)->next;
    return place;
}

struct roster_entry *roster_find(const struct roster *r, const char *id)
{
    return *place_of(r, id);
}

/* Doubles the table. Without memory for that it stays as it is, and is slower. */
static void grow(struct roster *r)
{
    size_t more = 2 * r->buckets;
    struct roster_entry **bucket = mem_array(more, sizeof *bucket);
    if (!bucket)
        return;
    for (size_t i = 0; i < r->buckets; i++)
        for (struct roster_entry *entry = r->bucket[i], *next; entry; entry = next) {
            struct roster_entry **place = &bucket[entry->hash & (more - 1)];
            next = entry->next;
            entry->next = *place;
            *place = entry;
        }
    mem_free(r->bucket);
    r->bucket = bucket;
    r->buckets = more;
}

struct roster_entry *roster_add(struct roster *r, const char *id)
{
    size_t bytes = strlen(id) + 1;
    struct roster_entry *entry = mem_array(1, sizeof *entry + bytes);
    if (!entry)
        return NULL;
    if (r->entries >= r->buckets)
        grow(r);
    memcpy(entry->id, id, bytes);
    entry->hash = hash_of(id);
    *place_of(r, id) = entry;
    r->entries++;
    return entry;
}

void roster_remove(struct roster *r, const char *id)
{
    struct roster_entry **place = place_of(r, id), *entry = *place;
    *place = entry->next;
    r->entries--;
    mem_free(entry);
}

size_t roster_entry_bytes(const char *id)
{
    return sizeof(struct roster_entry) + strlen(id) + MEM_BLOCK_BYTES + sizeof(void *);
}
