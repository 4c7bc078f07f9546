/* api/reading.c - forward, gradients, parameters. */
#include <math.h>
#include <string.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/journal.h"
#include "api/safetensors.h"
#include "api/state.h"
#include "api/state_dict.h"
#include "api/tensor_in.h"
#include "engine/train.h"

/* ---- POST forward -------------------------------------------------------------------------- */

/* loss: of a batch with targets. */
static void outputs_write_json(struct call *c, const struct batch *b, const struct tensor *y,
                               int64_t step, double loss)
{
    json_begin_object(&c->out);
    json_key(&c->out, "outputs");
    tensor_write(&c->out, y);
    json_key_int(&c->out, "step", step);
    if (b->y.storage) {
        json_key_real(&c->out, "loss", b->output_type, loss);
        json_key_string(&c->out, "reduction", loss_reduction(&c->session->spec.loss));
    }
    json_end_object(&c->out);
}

/* The same; .npy has no place for more than the outputs. */
static void outputs_write(struct call *c, const struct batch *b, const struct tensor *y,
                          int64_t step, double loss)
{
    enum media media = call_gives(c);
    struct named_tensor outputs = {"outputs", y};
    char step_text[TEXT_OF_NUMBER], loss_text[TEXT_OF_NUMBER];
    const char *metadata[] = {"step", text_of_int(step, step_text), NULL, NULL, NULL, NULL, NULL};
    call_tag(c, step);
    if (media == MEDIA_JSON) {
        outputs_write_json(c, b, y, step, loss);
        return;
    }
    if (b->y.storage) {
        metadata[2] = "loss";
        metadata[3] = text_of_real(b->output_type, loss, loss_text);
        metadata[4] = "reduction";
        metadata[5] = loss_reduction(&c->session->spec.loss);
    }
    call_write_tensors(c, media, metadata, &outputs, 1);
}

/* after: batch_free */
static enum err_kind forward_read(struct call *c, struct batch **out, struct err *e)
{
    static const char *const names[] = {"inputs", "targets", NULL};
    enum err_kind rc = fields_check(c->in.root, names, e);
    return rc ? rc : call_read_batch(c, TARGETS_OPTIONAL, out, e);
}

/* The step that y, on the call's tape, was made at. */
static enum err_kind evaluate(struct call *c, const struct batch *b, struct tensor **y,
                              double *loss, int64_t *step, struct err *e)
{
    struct session *s = c->session;
    const struct tensor *target = b->y.storage ? &b->y : NULL;
    pthread_rwlock_rdlock(&s->lock);
    enum err_kind rc =
        train_evaluate(s->module, &s->spec.loss, &c->scratch->tape, &b->x, target, y, loss, e);
    *step = s->step;
    pthread_rwlock_unlock(&s->lock);
    return rc;
}

static enum err_kind forward_alone(struct call *c, const struct batch *b, struct err *e)
{
    struct tensor *y;
    double loss = NAN;
    int64_t step;
    enum err_kind rc = evaluate(c, b, &y, &loss, &step, e);
    if (!rc)
        outputs_write(c, b, y, step, loss);
    return rc;
}

enum err_kind post_forward(struct call *c, struct err *e)
{
    struct batch *b = NULL;
    enum err_kind rc = forward_read(c, &b, e);
    if (!rc)
        rc = forward_alone(c, b, e);
    batch_free(b);
    return rc;
}

/* ---- several at a time ---------------------------------------------------------------------- */

/* Is a row of a matrix of inputs all that its row of the outputs is made of? A layer that is not
 * known for it is taken to look at others. */
static bool keeps_rows_apart(const struct layer *l)
{
    static const char *const by_row[] = {"linear", "relu", "leaky_relu", "sigmoid",
                                         "tanh",   "gelu", "silu",       "identity"};
    const char *type = l->type->options.type;
    bool along = !strcmp(type, "softmax") || !strcmp(type, "log_softmax");
    for (size_t i = 0; i < sizeof by_row / sizeof *by_row; i++)
        if (!strcmp(type, by_row[i]))
            return true;
    return along && l->value[0] != 0 && l->value[0] != -2; /* along a row */
}

static bool may_stack(const struct module *m)
{
    bool apart = !m->program;
    for (int i = 0; apart && i < m->layers; i++)
        apart = keeps_rows_apart(&m->layer[i]);
    return apart;
}

/* A matrix as wide as that of first (NULL: any), without targets. */
static bool fits_stack(const struct batch *b, const struct batch *first)
{
    const struct shape *x = &b->x.shape;
    return !b->y.storage && x->rank == 2 && (!first || x->dim[1] == first->x.shape.dim[1]);
}

/* One product for all; each writes its rows of it. */
static enum err_kind forward_stacked(struct call *const *c, struct batch *const *b, size_t calls)
{
    struct err e;
    struct batch_rules rules = session_rules(c[0]->session);
    struct batch *all;
    struct tensor *y;
    double loss = NAN;
    int64_t step, row = 0;
    enum err_kind rc = batch_stack(b, calls, &rules, &all, &e);
    if (rc)
        return rc;
    rc = evaluate(c[0], all, &y, &loss, &step, &e);
    for (size_t i = 0; !rc && i < calls; i++) {
        struct tensor rows = tensor_seen(y);
        tensor_narrow(&rows, 0, row, b[i]->x.shape.dim[0]);
        row += b[i]->x.shape.dim[0];
        outputs_write(c[i], b[i], &rows, step, loss);
    }
    batch_free(all);
    return rc;
}

/* What cannot be stacked runs alone, as does all of it if the stack is too large. */
void forward_together(struct call *const *c, size_t calls, struct err *e)
{
    struct batch *b[CALLS_TOGETHER_MAX] = {NULL}, *stack[CALLS_TOGETHER_MAX];
    struct call *in_stack[CALLS_TOGETHER_MAX];
    bool may = calls > 1 && may_stack(c[0]->session->module), done[CALLS_TOGETHER_MAX] = {false};
    size_t stacked = 0;
    for (size_t i = 0; i < calls; i++) {
        e[i].kind = ERR_OK;
        (void)forward_read(c[i], &b[i], &e[i]); /* the kind is in e */
        if (e[i].kind || !may || !fits_stack(b[i], stacked ? stack[0] : NULL))
            continue;
        done[i] = true;
        in_stack[stacked] = c[i];
        stack[stacked++] = b[i];
    }
    bool together = stacked > 1 && forward_stacked(in_stack, stack, stacked) == ERR_OK;
    for (size_t i = 0; i < calls; i++) {
        if (!e[i].kind && !(together && done[i]))
            (void)forward_alone(c[i], b[i], &e[i]);
        batch_free(b[i]);
    }
}

/* ---- GET gradients, GET parameters --------------------------------------------------------- */

/* {name} of the path: one parameter, or all (*only NULL) without it. */
static enum err_kind one_or_all(struct call *c, struct parameter **only, struct err *e)
{
    *only = NULL;
    if (!c->param[1][0])
        return ERR_OK;
    *only = module_find(c->session->module, c->param[1]);
    return *only ? ERR_OK
                 : err_set(e, ERR_NOT_FOUND, "", "there is no parameter \"%.64s\"", c->param[1]);
}

static void gradient_write(struct call *c, const struct tensor *g, bool summary)
{
    struct json_out *w = &c->out;
    if (!g) {
        json_null(w);
        return;
    }
    const struct kernels *k = c->api->kernels;
    json_begin_object(w);
    json_key(w, "shape");
    json_ints(w, g->shape.dim, (size_t)g->shape.rank);
    json_key_f64(w, "norm",
                 sqrt(k->sum_squares(g->dtype, tensor_data(g), (size_t)tensor_count(g))));
    if (!summary) {
        json_key(w, "data");
        tensor_write(w, g);
    }
    json_end_object(w);
}

/* Those of the model as a file; beside others it is under the read lock. */
static enum err_kind arrays_write(struct call *c, enum media media, enum state_dict what,
                                  const struct parameter *only, struct err *e)
{
    struct session *s = c->session;
    char step[TEXT_OF_NUMBER];
    const char *metadata[] = {"step", text_of_int(s->step, step), NULL};
    call_tag(c, s->step);
    return state_dict_write(c, media, what, s->module, only, metadata, e);
}

enum err_kind get_gradients(struct call *c, struct err *e)
{
    struct module *m = c->session->module;
    struct parameter *only;
    int64_t summary;
    enum err_kind rc = call_query_int(c, "summary", 0, 1, 0, &summary, e);
    if (!rc)
        rc = one_or_all(c, &only, e);
    if (!rc)
        rc = module_make_deferred(m, c->api->kernels, c->scratch->tape.crew, e);
    if (rc)
        return rc;
    enum media media = summary ? MEDIA_JSON : call_gives(c);
    if (media != MEDIA_JSON)
        return arrays_write(c, media, STATE_DICT_GRADIENTS, only, e);
    json_begin_object(&c->out);
    call_write_step(c, c->session->step);
    json_key(&c->out, "gradients");
    json_begin_object(&c->out);
    for (int i = 0; i < m->parameters; i++) {
        const struct parameter *p = &m->parameter[i];
        if (only && only != p)
            continue;
        json_key(&c->out, p->name);
        gradient_write(c, p->tensor.grad, summary != 0);
    }
    json_end_object(&c->out);
    json_end_object(&c->out);
    return ERR_OK;
}

static void parameter_write(struct json_out *w, const struct parameter *p)
{
    json_key(w, p->name);
    json_begin_object(w);
    json_key(w, "shape");
    json_ints(w, p->tensor.shape.dim, (size_t)p->tensor.shape.rank);
    json_key_bool(w, "requires_grad", p->tensor.requires_grad);
    json_key(w, "data");
    tensor_write(w, &p->tensor);
    json_end_object(w);
}

enum err_kind get_parameters(struct call *c, struct err *e)
{
    struct session *s = c->session;
    struct parameter *only;
    enum err_kind rc = one_or_all(c, &only, e);
    enum media media = call_gives(c);
    if (rc)
        return rc;
    if (media != MEDIA_JSON) {
        pthread_rwlock_rdlock(&s->lock);
        rc = arrays_write(c, media, STATE_DICT_PARAMETERS, only, e);
        pthread_rwlock_unlock(&s->lock);
        return rc;
    }
    json_begin_object(&c->out);
    pthread_rwlock_rdlock(&s->lock);
    call_write_step(c, s->step);
    json_key(&c->out, "parameters");
    json_begin_object(&c->out);
    for (int i = 0; i < s->module->parameters; i++)
        if (!only || only == &s->module->parameter[i])
            parameter_write(&c->out, &s->module->parameter[i]);
    pthread_rwlock_unlock(&s->lock);
    json_end_object(&c->out);
    json_end_object(&c->out);
    return ERR_OK;
}

/* ---- PUT parameters ------------------------------------------------------------------------ */

/* A shape that is given beside the data must be the parameter's. */
static enum err_kind check_shape(const struct json *j, const cJSON *item, const struct shape *want,
                                 struct err *e)
{
    struct shape shape;
    char text[SHAPE_TEXT_BYTES];
    if (!item)
        return ERR_OK;
    if (shape_in_read(j, item, &shape, e) != ERR_OK)
        return err_prefix(e, "/shape");
    if (!shape_equal(&shape, want))
        return err_set(e, ERR_INVALID, "/shape", "must be %s", shape_text(want, text, sizeof text));
    return ERR_OK;
}

/* Reads one parameter's {"data", "shape"?, "requires_grad"?} into its place in a block of rows. */
static enum err_kind parameter_read(const struct json *j, const cJSON *item,
                                    const struct parameter *p, void *block, bool *requires_grad,
                                    struct err *e)
{
    static const char *const names[] = {"data", "shape", "requires_grad", NULL};
    const struct tensor *t = &p->tensor;
    struct shape shape;
    char text[SHAPE_TEXT_BYTES];
    if (!cJSON_IsObject(item))
        return err_set(e, ERR_INVALID, "", "must be an object with \"data\"");
    const cJSON *data = field_find(item, "data");
    enum err_kind rc = fields_check(item, names, e);
    if (!rc)
        rc = check_shape(j, field_find(item, "shape"), &t->shape, e);
    if (!rc)
        rc = field_bool(item, "requires_grad", OPTIONAL, requires_grad, e);
    if (!rc && !data)
        rc = err_set(e, ERR_INVALID, "/data", "is required");
    if (rc)
        return rc;
    rc = shape_of_data(j, data, &shape, e);
    if (!rc && !shape_equal(&shape, &t->shape))
        rc = err_set(e, ERR_INVALID, "", "must be of shape %s",
                     shape_text(&t->shape, text, sizeof text));
    void *to = (char *)block + (size_t)t->offset * dtype_bytes(t->dtype);
    if (!rc)
        rc = json_tensor_read(j, data, t->dtype, to, e);
    return rc ? err_prefix(e, "/data") : ERR_OK;
}

/* Every parameter must be there (strict, as load_state_dict), or the one of the path. */
static enum err_kind parameters_read(struct call *c, const struct parameter *only, void *block,
                                     bool *requires_grad, struct err *e)
{
    struct module *m = c->session->module;
    const cJSON *all = NULL;
    enum err_kind rc = field_object(c->in.root, "parameters", REQUIRED, &all, e);
    if (rc)
        return rc;
    for (const cJSON *item = all->child; item; item = item->next) {
        const struct parameter *p = module_find(m, item->string);
        char key[96];
        err_escape(item->string, key, sizeof key);
        if (!p || (only && p != only)) {
            err_set(e, ERR_INVALID, "", "there is no such parameter here");
            return err_prefix(e, "/parameters/%s", key);
        }
        if (parameter_read(&c->in, item, p, block, &requires_grad[p - m->parameter], e) != ERR_OK)
            return err_prefix(e, "/parameters/%s", key);
    }
    for (int i = 0; i < m->parameters; i++) {
        const char *name = m->parameter[i].name;
        if ((!only || only == &m->parameter[i]) && !field_find(all, name)) {
            err_set(e, ERR_INVALID, "", "is missing");
            return err_prefix(e, "/parameters/%s", name);
        }
    }
    return ERR_OK;
}

/* The new numbers are as large as the model: a checkpoint tells them. */
static enum err_kind keep_put(struct session *s, struct err *e)
{
    struct change change = {.kind = CHANGE_STATE};
    struct save save = {.created_at = clock_millis(), .change = &change};
    enum err_kind rc = ERR_OK;
    if (session_is_journaled(s))
        rc = session_save(s, &save, e);
    else
        session_note_change(s);
    if (!rc)
        events_tell_replaced(s);
    return rc;
}

static enum err_kind body_read(struct call *c, const struct parameter *only, void *block,
                               bool *requires_grad, struct err *e)
{
    static const char *const names[] = {"step", "parameters", NULL};
    int64_t step; /* of a GET's answer that is sent back: says where it came from, no more */
    if (call_is_binary(c)) /* and so does all of its metadata */
        return state_dict_read(c, only, block, e);
    enum err_kind rc = fields_check(c->in.root, names, e);
    if (!rc)
        rc = field_int(c->in.root, "step", OPTIONAL, 0, INT64_MAX, &step, e);
    return rc ? rc : parameters_read(c, only, block, requires_grad, e);
}

enum err_kind put_parameters(struct call *c, struct err *e)
{
    struct session *s = c->session;
    struct module *m = s->module;
    struct parameter *only;
    void *block = mem_array(1, module_bytes(m));
    bool *requires_grad = mem_array((size_t)m->parameters, sizeof *requires_grad);
    enum err_kind rc = ERR_OK;
    if (!block || !requires_grad) {
        rc = err_set(e, ERR_NOMEM, "", "no memory for the parameters");
        goto out;
    }
    module_to_rows(m, m->values.data, block);
    for (int i = 0; i < m->parameters; i++)
        requires_grad[i] = m->parameter[i].tensor.requires_grad;
    rc = one_or_all(c, &only, e);
    if (!rc)
        rc = body_read(c, only, block, requires_grad, e);
    if (rc)
        goto out;
    session_begin_change(s);
    module_from_rows(m, block, m->values.data);
    for (int i = 0; i < m->parameters; i++)
        m->parameter[i].tensor.requires_grad = requires_grad[i];
    session_touch(s);
    s->diverged = false;
    session_end_change(s);
    json_begin_object(&c->out);
    call_write_step(c, s->step);
    json_key_int(&c->out, "parameter_count", m->count);
    json_end_object(&c->out);
    rc = keep_put(s, e);
out:
    mem_free(block);
    mem_free(requires_grad);
    return rc;
}
