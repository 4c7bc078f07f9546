#include "api/tensor_in.h"

#include <string.h>

#include "api/fields.h"
#include "engine/tree.h"

/* ---- shapes -------------------------------------------------------------------------------- */

enum err_kind shape_in_read(const struct json *j, const cJSON *item, struct shape *out,
                            struct err *e)
{
    int64_t dim[RANK_MAX], length[JSON_RANK_MAX];
    int rank;
    enum err_kind rc = json_tensor_shape(j, item, length, &rank, e);
    if (!rc && (rank != 1 || length[0] > RANK_MAX))
        rc = err_set(e, ERR_INVALID, "", "must be a list of at most %d extents", RANK_MAX);
    if (!rc)
        rc = json_tensor_read(j, item, DTYPE_INT64, dim, e);
    return rc ? rc : shape_make(dim, (int)length[0], out, e);
}

enum err_kind shape_of_data(const struct json *j, const cJSON *item, struct shape *out,
                            struct err *e)
{
    int64_t dim[JSON_RANK_MAX];
    int rank;
    enum err_kind rc = json_tensor_shape(j, item, dim, &rank, e);
    return rc ? rc : shape_make(dim, rank, out, e);
}

/* ---- true and false: a literal cannot hold them, so they come as nodes of the document ----- */

static bool is_truth(const cJSON *item)
{
    return cJSON_IsBool(item) ||
           (cJSON_IsNumber(item) && (item->valuedouble == 0 || item->valuedouble == 1));
}

/* Are data's elements nodes? Their shape is then that of the first way down. */
static bool shape_of_truths(const cJSON *item, struct shape *out)
{
    *out = (struct shape){.rank = 0};
    for (; cJSON_IsArray(item) && out->rank < RANK_MAX; item = item->child)
        out->dim[out->rank++] = cJSON_GetArraySize(item);
    return cJSON_IsBool(item);
}

/* Checks item, which stands `depth` arrays deep, and writes its elements from *to on (NULL: only
 * checks). Recursive over the rank. */
static enum err_kind read_truths(const cJSON *item, const struct shape *shape, int depth, bool **to,
                                 struct err *e)
{
    if (depth == shape->rank) {
        if (!is_truth(item))
            return err_set(e, ERR_INVALID, "", "must be true or false");
        *(*to)++ = cJSON_IsTrue(item) || (cJSON_IsNumber(item) && item->valuedouble == 1);
        return ERR_OK;
    }
    int count = cJSON_GetArraySize(item), i = 0;
    if (!cJSON_IsArray(item) || count != shape->dim[depth])
        return err_set(e, ERR_INVALID, "", "%lld elements expected as in the rows before, got %d",
                       (long long)shape->dim[depth], count);
    for (const cJSON *child = item->child; child; child = child->next, i++)
        if (read_truths(child, shape, depth + 1, to, e) != ERR_OK)
            return err_prefix(e, "/%d", i);
    return ERR_OK;
}

/* ---- the object ---------------------------------------------------------------------------- */

static enum err_kind data_shape(const struct json *j, const struct tensor_in *t, struct shape *out,
                                struct err *e)
{
    if (t->dtype == DTYPE_BOOL && shape_of_truths(t->data, out))
        return shape_make(out->dim, out->rank, out, e);
    return shape_of_data(j, t->data, out, e);
}

/* The shape that is given, if there is one, and that of the data. */
static enum err_kind read_shape(const struct json *j, const cJSON *given, struct tensor_in *t,
                                struct err *e)
{
    struct shape data;
    char want[SHAPE_TEXT_BYTES], got[SHAPE_TEXT_BYTES];
    if (data_shape(j, t, &data, e) != ERR_OK)
        return err_prefix(e, "/data");
    if (!given || cJSON_IsNull(given)) {
        t->shape = data;
        return ERR_OK;
    }
    if (shape_in_read(j, given, &t->shape, e) != ERR_OK)
        return err_prefix(e, "/shape");
    bool flat = data.rank == 1 && data.dim[0] == shape_count(&t->shape);
    if (flat || shape_equal(&data, &t->shape))
        return ERR_OK;
    return err_set(e, ERR_INVALID, "/data", "must be of shape %s, nested or flat, got %s",
                   shape_text(&t->shape, want, sizeof want), shape_text(&data, got, sizeof got));
}

static enum err_kind read_dtype(const cJSON *object, enum dtype *out, struct err *e)
{
    int dtype = (int)*out;
    enum err_kind rc = field_choice(object, "dtype", OPTIONAL, dtype_names, &dtype, e);
    *out = (enum dtype)dtype;
    return rc;
}

enum err_kind tensor_in_read(const struct json *j, const cJSON *object, struct tensor_in *out,
                             struct err *e)
{
    static const char *const names[] = {"data", "shape", "dtype", "requires_grad", NULL};
    if (!cJSON_IsObject(object))
        return err_set(e, ERR_INVALID, "", "must be an object with \"data\"");
    out->data = field_find(object, "data");
    enum err_kind rc = fields_check(object, names, e);
    if (!rc && !out->data)
        rc = err_set(e, ERR_INVALID, "/data", "is required");
    if (!rc)
        rc = read_dtype(object, &out->dtype, e);
    if (!rc)
        rc = field_bool(object, "requires_grad", OPTIONAL, &out->requires_grad, e);
    if (!rc && out->requires_grad && !dtype_is_float(out->dtype))
        rc = err_set(e, ERR_INVALID, "/requires_grad",
                     "Only Tensors of floating point and complex dtype can require gradients");
    return rc ? rc : read_shape(j, field_find(object, "shape"), out, e);
}

enum err_kind tensor_in_numbers(const struct json *j, const struct tensor_in *t, void *to,
                                struct err *e)
{
    struct shape nodes;
    bool *truth = to;
    enum err_kind rc;
    if (t->dtype == DTYPE_BOOL && shape_of_truths(t->data, &nodes))
        rc = read_truths(t->data, &nodes, 0, &truth, e);
    else
        rc = json_tensor_read(j, t->data, t->dtype, to, e);
    return rc ? err_prefix(e, "/data") : ERR_OK;
}

/* What a name is, the parser knows. */
enum err_kind variable_check(const char *text, size_t max, struct err *e)
{
    struct program p = {.first = NULL};
    struct place where;
    enum err_kind rc = program_parse(text, strlen(text), &p, &where, e);
    const struct tree *t = p.first;
    bool is_name = !rc && t && !t->next && t->kind == TREE_EXPRESSION && t->a->kind == TREE_NAME &&
                   !strcmp(t->a->text, text);
    program_close(&p);
    if (rc == ERR_NOMEM || (is_name && strlen(text) < max && strcmp(text, "torch") != 0))
        return rc;
    return err_set(e, ERR_INVALID, "",
                   "must have a name that Python takes, of at most %zu bytes, and not torch",
                   max - 1);
}
