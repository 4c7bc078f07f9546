#include "api/batch.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/fields.h"
#include "api/tensor_in.h"
#include "storage/store.h"

/* ---- reading ------------------------------------------------------------------------------- */

/* What the inputs' shape must fulfil, what a forward over them is, and the shape and type of the
 * targets that belong to them. */
struct plan {
    struct shape x, y;
    enum dtype y_type;
    struct module_facts facts;
};

/* For p->x. */
static enum err_kind make_plan(struct plan *p, const struct batch_rules *rules, struct err *e)
{
    if (p->x.rank < 1 || p->x.dim[0] < 1)
        return err_set(e, ERR_INVALID, "", "must be at least one row");
    enum err_kind rc = module_facts(rules->module, &p->x, &p->facts, e);
    if (rc)
        return rc;
    p->y_type = loss_target_dtype(rules->loss, p->facts.dtype);
    return loss_target_shape(rules->loss, &p->facts.output, &p->y, e);
}

static enum err_kind check_activations(const struct plan *p, size_t max_bytes, struct err *e)
{
    if (p->facts.bytes <= max_bytes)
        return ERR_OK;
    return err_set(e, ERR_INVALID, "", "a forward over %lld rows would take more than %zu bytes",
                   (long long)p->x.dim[0], max_bytes);
}

static enum err_kind targets_misfit(const struct shape *want, const struct shape *got,
                                    struct err *e)
{
    char w[SHAPE_TEXT_BYTES], g[SHAPE_TEXT_BYTES];
    return err_set(e, ERR_INVALID, "", "must be of shape %s for these inputs, got %s",
                   shape_text(want, w, sizeof w), shape_text(got, g, sizeof g));
}

/* Lays x and, if there are targets, y out in one block. NULL: no memory, or more than a size holds.
 */
static struct batch *batch_new(const struct plan *p, enum dtype x_type, bool targets)
{
    size_t x_bytes, y_bytes = 0;
    struct batch *b = mem_array(1, sizeof *b);
    if (!b || !mem_mul((size_t)shape_count(&p->x), dtype_bytes(x_type), &x_bytes) ||
        (targets && !mem_mul((size_t)shape_count(&p->y), dtype_bytes(p->y_type), &y_bytes)) ||
        x_bytes > SIZE_MAX / 2 - MEM_ALIGN || y_bytes > SIZE_MAX / 2) {
        mem_free(b);
        return NULL;
    }
    size_t y_at = (x_bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
    b->work = p->facts.work;
    b->output_type = p->facts.dtype;
    b->bytes = targets ? y_at + y_bytes : x_bytes;
    b->storage.data = mem_array(1, b->bytes);
    if (!b->storage.data) {
        mem_free(b);
        return NULL;
    }
    tensor_wrap(&b->x, &b->storage, x_type, &p->x, 0);
    if (targets)
        tensor_wrap(&b->y, &b->storage, p->y_type, &p->y, (int64_t)(y_at / dtype_bytes(p->y_type)));
    return b;
}

static enum err_kind element_error(struct err *e, const struct tensor *t, int64_t i,
                                   const char *what)
{
    char pointer[64];
    json_tensor_pointer(t->shape.dim, t->shape.rank, i, pointer, sizeof pointer);
    return err_set(e, ERR_INVALID, pointer, "%s", what);
}

static enum err_kind check_finite(const struct tensor *t, struct err *e)
{
    const float *f = tensor_data(t);
    const double *d = tensor_data(t);
    for (int64_t i = 0; i < tensor_count(t); i++)
        if (!isfinite(t->dtype == DTYPE_FLOAT32 ? (double)f[i] : d[i]))
            return element_error(e, t, i, "training data must be finite");
    return ERR_OK;
}

static enum err_kind check_classes(const struct tensor *y, int64_t classes, struct err *e)
{
    const int64_t *class = tensor_data(y);
    char what[64];
    for (int64_t i = 0; i < tensor_count(y); i++)
        if (class[i] < 0 || class[i] >= classes) {
            snprintf(what, sizeof what, "Target %lld is out of bounds.", (long long)class[i]);
            return element_error(e, y, i, what);
        }
    return ERR_OK;
}

/* output: its dimension 1 is the number of classes, where the targets are such. */
static enum err_kind check_values(const struct batch *b, const struct shape *output,
                                  enum targets targets, struct err *e)
{
    enum err_kind rc = ERR_OK;
    if (targets == TARGETS_REQUIRED && check_finite(&b->x, e) != ERR_OK)
        return err_prefix(e, "/inputs");
    if (!b->y.storage)
        return ERR_OK;
    if (b->y.dtype == DTYPE_INT64)
        rc = check_classes(&b->y, output->dim[1], e);
    else if (targets == TARGETS_REQUIRED)
        rc = check_finite(&b->y, e);
    return rc ? err_prefix(e, "/targets") : ERR_OK;
}

/* One of the two arrays of a request: in a document, in a file of arrays, or some columns of a
 * table. All NULL: it is not there. */
struct source {
    const cJSON *item;
    const struct wire *raw;
    const struct csv *csv;
    int64_t first, columns; /* of that */
};

/* The two of a request. */
struct sources {
    const struct json *j; /* of the items */
    struct source x, y;
};

static bool is_there(const struct source *s)
{
    return s->item || s->raw || s->csv;
}

static enum err_kind shape_read(const struct json *j, const struct source *s, struct shape *out,
                                struct err *e)
{
    if (s->item)
        return shape_of_data(j, s->item, out, e);
    if (s->csv)
        return shape_make((int64_t[]){s->csv->rows, s->columns}, 2, out, e);
    *out = s->raw->shape;
    return ERR_OK;
}

static enum err_kind numbers_read(const struct json *j, const struct source *s,
                                  const struct tensor *t, struct err *e)
{
    void *to = tensor_data(t);
    return s->item  ? json_tensor_read(j, s->item, t->dtype, to, e)
           : s->csv ? csv_numbers(s->csv, s->first, s->columns, t->dtype, to, e)
                    : wire_read(s->raw, t->dtype, to, e);
}

/* Both shapes, checked. */
static enum err_kind shapes_read(const struct sources *from, const struct batch_rules *rules,
                                 struct plan *p, struct err *e)
{
    struct shape y;
    if (shape_read(from->j, &from->x, &p->x, e) != ERR_OK || make_plan(p, rules, e) != ERR_OK ||
        check_activations(p, rules->max_activation_bytes, e) != ERR_OK)
        return err_prefix(e, "/inputs");
    if (!is_there(&from->y))
        return ERR_OK;
    if (shape_read(from->j, &from->y, &y, e) != ERR_OK)
        return err_prefix(e, "/targets");
    bool flat = from->y.csv && p->y.rank && p->y.dim[0] == y.dim[0] &&
                shape_count(&p->y) == shape_count(&y); /* a row of it is a row of targets */
    if (!flat && !shape_equal(&y, &p->y)) {
        targets_misfit(&p->y, &y, e);
        return err_prefix(e, "/targets");
    }
    return ERR_OK;
}

/* Both arrays' numbers into a new batch. */
static enum err_kind copy_numbers(const struct sources *from, struct batch *b, struct err *e)
{
    if (numbers_read(from->j, &from->x, &b->x, e) != ERR_OK)
        return err_prefix(e, "/inputs");
    if (b->y.storage && numbers_read(from->j, &from->y, &b->y, e) != ERR_OK)
        return err_prefix(e, "/targets");
    return ERR_OK;
}

/* Inputs alone whose numbers can stay where they are. NULL: no memory. */
static struct batch *batch_in_place(const struct plan *p, const struct wire *x, enum dtype x_type)
{
    struct batch *b = mem_array(1, sizeof *b);
    if (!b)
        return NULL;
    b->work = p->facts.work;
    b->output_type = p->facts.dtype;
    b->storage.data = (void *)x->data; /* nobody writes to inputs */
    b->lent = true;
    tensor_wrap(&b->x, &b->storage, x_type, &p->x, 0);
    return b;
}

static enum err_kind make_batch(const struct sources *from, const struct batch_rules *rules,
                                enum targets targets, struct batch **out, struct err *e)
{
    enum dtype x_type = rules->module->input_dtype;
    struct plan p;
    if (!is_there(&from->x))
        return err_set(e, ERR_INVALID, "/inputs", "is required");
    if (!is_there(&from->y) && targets == TARGETS_REQUIRED)
        return err_set(e, ERR_INVALID, "/targets", "is required");
    if (shapes_read(from, rules, &p, e) != ERR_OK)
        return e->kind;
    bool lent = !is_there(&from->y) && from->x.raw && wire_is_in_place(from->x.raw, x_type);
    struct batch *b =
        lent ? batch_in_place(&p, from->x.raw, x_type) : batch_new(&p, x_type, is_there(&from->y));
    if (!b)
        return err_set(e, ERR_NOMEM, "", "no memory for the batch");
    enum err_kind rc = lent ? ERR_OK : copy_numbers(from, b, e);
    if (!rc)
        rc = check_values(b, &p.facts.output, targets, e);
    if (rc)
        batch_free(b);
    else
        *out = b;
    return rc;
}

enum err_kind batch_read(const struct json *j, const cJSON *object, const struct batch_rules *rules,
                         enum targets targets, struct batch **out, struct err *e)
{
    struct sources from = {
        .j = j, .x.item = field_find(object, "inputs"), .y.item = field_find(object, "targets")};
    return make_batch(&from, rules, targets, out, e);
}

enum err_kind batch_take(const struct tensors *t, const struct batch_rules *rules,
                         enum targets targets, struct batch **out, struct err *e)
{
    struct sources from = {.x.raw = tensors_find(t, "inputs")};
    from.y.raw = t->count > 1 ? tensors_find(t, "targets") : NULL;
    return make_batch(&from, rules, targets, out, e);
}

enum err_kind batch_read_csv(const struct csv *csv, int64_t targets,
                             const struct batch_rules *rules, struct batch **out, struct err *e)
{
    int64_t inputs = csv->columns - targets;
    struct sources from = {.x = {.csv = csv, .columns = inputs},
                           .y = {.csv = csv, .first = inputs, .columns = targets}};
    if (inputs < 1)
        return err_set(e, ERR_INVALID, "",
                       "of %lld columns the last %lld cannot be targets: none is left for inputs",
                       (long long)csv->columns, (long long)targets);
    enum err_kind rc = make_batch(&from, rules, TARGETS_REQUIRED, out, e);
    int64_t row;
    if (rc == ERR_INVALID && sscanf(e->pointer, "/targets/%" SCNd64, &row) == 1) /* a class */
        err_wrap(e, "line %lld: ", (long long)csv_line(csv, row));
    return rc;
}

void batch_free(struct batch *b)
{
    if (b && !b->lent)
        mem_free(b->storage.data);
    mem_free(b);
}

enum err_kind batch_stack(struct batch *const *b, size_t batches, const struct batch_rules *rules,
                          struct batch **out, struct err *e)
{
    struct plan p = {.x = b[0]->x.shape};
    for (size_t i = 1; i < batches; i++)
        p.x.dim[0] += b[i]->x.shape.dim[0];
    enum err_kind rc = make_plan(&p, rules, e);
    if (!rc)
        rc = check_activations(&p, rules->max_activation_bytes, e);
    if (rc)
        return rc;
    struct batch *all = batch_new(&p, b[0]->x.dtype, false);
    if (!all)
        return err_set(e, ERR_NOMEM, "", "no memory for the batch");
    char *to = tensor_data(&all->x);
    for (size_t i = 0; i < batches; i++) {
        size_t bytes = (size_t)tensor_count(&b[i]->x) * dtype_bytes(b[i]->x.dtype);
        memcpy(to, tensor_data(&b[i]->x), bytes);
        to += bytes;
    }
    *out = all;
    return ERR_OK;
}

enum err_kind batch_copy(const struct batch *b, struct batch **out, struct err *e)
{
    struct batch *copy = mem_array(1, sizeof *copy);
    void *data = mem_array(b->bytes, 1);
    if (!copy || !data) {
        mem_free(copy);
        mem_free(data);
        return err_set(e, ERR_NOMEM, "", "no memory for the batch");
    }
    *copy = *b;
    copy->storage.data = memcpy(data, b->storage.data, b->bytes);
    copy->x.storage = copy->y.storage = &copy->storage;
    copy->pushed = copy->deleted = 0;
    *out = copy;
    return ERR_OK;
}

/* ---- minibatches --------------------------------------------------------------------------- */

static enum err_kind plan_like(const struct batch *like, int64_t rows,
                               const struct batch_rules *rules, struct plan *p, struct err *e)
{
    struct shape y = like->y.shape;
    p->x = like->x.shape;
    p->x.dim[0] = rows;
    enum err_kind rc = make_plan(p, rules, e);
    if (!rc)
        rc = check_activations(p, rules->max_activation_bytes, e);
    if (!rc && (y.rank < 1 || y.dim[0] != like->x.shape.dim[0]))
        rc = err_set(e, ERR_INVALID, "", "the targets have not one row for each of the inputs");
    y.dim[0] = rows;
    return !rc && !shape_equal(&y, &p->y) ? targets_misfit(&p->y, &y, e) : rc;
}

enum err_kind batch_fits_like(const struct batch *like, int64_t rows,
                              const struct batch_rules *rules, struct err *e)
{
    struct plan p;
    return plan_like(like, rows, rules, &p, e);
}

enum err_kind batch_like(const struct batch *like, int64_t rows, const struct batch_rules *rules,
                         struct batch **out, struct err *e)
{
    struct plan p;
    enum err_kind rc = plan_like(like, rows, rules, &p, e);
    if (rc)
        return rc;
    *out = batch_new(&p, like->x.dtype, true);
    return *out ? ERR_OK : err_set(e, ERR_NOMEM, "", "no memory for a minibatch");
}

static void resize(struct tensor *t, int64_t rows)
{
    struct shape shape = t->shape;
    shape.dim[0] = rows;
    tensor_wrap(t, t->storage, t->dtype, &shape, t->offset);
}

void batch_resize(struct batch *b, int64_t rows)
{
    if (b->x.shape.dim[0] == rows)
        return;
    resize(&b->x, rows);
    resize(&b->y, rows);
}

/* ---- stored -------------------------------------------------------------------------------- */

void batch_layout(struct json_out *w, const struct batch *b)
{
    json_begin_object(w);
    json_key(w, "inputs");
    json_ints(w, b->x.shape.dim, (size_t)b->x.shape.rank);
    json_key(w, "targets");
    json_ints(w, b->y.shape.dim, (size_t)b->y.shape.rank);
    json_end_object(w);
}

static enum err_kind layout_read(const struct json *j, const char *name, struct shape *out,
                                 struct err *e)
{
    const cJSON *item = field_find(j->root, name);
    if (!item || shape_in_read(j, item, out, e) != ERR_OK)
        return err_set(e, ERR_IO, "", "the batch's layout cannot be read");
    return ERR_OK;
}

enum err_kind batch_restore(int64_t n, const char *layout, const void *data, size_t bytes,
                            const struct batch_rules *rules, struct batch **out, struct err *e)
{
    struct json j = {.root = NULL};
    struct shape y;
    struct plan p;
    struct batch *b = NULL;
    enum err_kind rc = json_parse(layout, strlen(layout), &j, e);
    if (!rc)
        rc = layout_read(&j, "inputs", &p.x, e);
    if (!rc)
        rc = layout_read(&j, "targets", &y, e);
    if (!rc)
        rc = make_plan(&p, rules, e);
    if (!rc && !shape_equal(&y, &p.y))
        rc = targets_misfit(&p.y, &y, e);
    if (rc && rc != ERR_NOMEM)
        rc = err_set(e, ERR_IO, "", "batch %lld does not fit its model", (long long)n);
    if (!rc)
        b = batch_new(&p, rules->module->input_dtype, true);
    if (!rc && !b)
        rc = err_set(e, ERR_NOMEM, "", "no memory for batch %lld", (long long)n);
    if (!rc && b->bytes != bytes)
        rc = err_set(e, ERR_IO, "", "batch %lld has %zu bytes where its layout needs %zu",
                     (long long)n, bytes, b->bytes);
    json_close(&j);
    if (rc) {
        batch_free(b);
        return rc;
    }
    memcpy(b->storage.data, data, bytes);
    b->n = n;
    *out = b;
    return ERR_OK;
}

/* The layout's text, in memory of the transaction's. */
static const char *layout_text(const struct batch *b, struct store_txn *txn)
{
    struct json_out w = {0};
    char *text = NULL;
    batch_layout(&w, b);
    if (json_out_end(&w) && (text = store_txn_alloc(txn, w.bytes + 1)) != NULL)
        memcpy(text, w.text, w.bytes + 1);
    json_out_close(&w);
    return text;
}

bool batch_insert(struct store_txn *txn, int64_t model, const struct batch *b)
{
    struct store_batch stored = {.n = b->n,
                                 .layout = layout_text(b, txn),
                                 .data = b->storage.data,
                                 .bytes = b->bytes,
                                 .created_at = b->created_at,
                                 .pushed = b->pushed};
    if (stored.layout)
        store_insert_batch(txn, model, &stored);
    return stored.layout != NULL;
}

/* ---- writing ------------------------------------------------------------------------------- */

void batch_write(struct json_out *w, const struct batch *b)
{
    json_key_int(w, "batch", b->n);
    json_key_int(w, "rows", b->x.shape.dim[0]);
    json_key(w, "input_shape");
    json_ints(w, b->x.shape.dim, (size_t)b->x.shape.rank);
    json_key(w, "target_shape");
    json_ints(w, b->y.shape.dim, (size_t)b->y.shape.rank);
    json_key_int(w, "bytes", (int64_t)b->bytes);
}

void tensor_write(struct json_out *w, const struct tensor *t)
{
    json_strided(w, t->dtype, tensor_data(t), t->shape.dim, t->stride, t->shape.rank);
}
