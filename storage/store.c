#include "storage/store.h"

#include "engine/mem.h"
#include "storage/filesystem.h"
#include "storage/front.h"
#include "storage/lockfile.h"
#include "storage/schema.h"
#include "storage/settle.h"
#include "storage/store_backup.h"
#include "storage/upkeep.h"
#include "storage/writer.h"

static void release(struct store *s)
{
    settle_stop(&s->db);
    front_close(&s->db.front);
    db_close(&s->db);
    lockfile_give(s->lock_file); /* last: whoever takes it may open the file */
    mem_free(s);
}

enum err_kind store_open(const char *path, const struct store_options *options, struct store **out,
                         struct err *e)
{
    enum err_kind rc = ERR_OK;
    *out = NULL;
    struct store *s = mem_array(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "", "no memory for the store");
    s->lock_file = -1;
    atomic_init(&s->db.healthy, true);
    if (!options || !options->network_files)
        rc = filesystem_check(path, e); /* before a file is made there */
    if (rc || (rc = lockfile_take(path, &s->lock_file, e)) || (rc = schema_open(&s->db, path, e)) ||
        (rc = writer_start(s, e)))
        goto out;
    *out = s;
    return ERR_OK;
out:
    release(s);
    return rc;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    writer_stop(s);
    backup_abandon(s); /* SQLite closes no connection that one reads */
    upkeep_finish(&s->db);
    release(s);
}

bool store_is_healthy(struct store *s)
{
    return atomic_load(&s->db.healthy);
}

const char *store_notice(const struct store *s)
{
    return s->db.notice;
}

size_t store_memory(void)
{
    return (size_t)sqlite3_memory_used();
}
