/* engine/{err,mem,shape,tensor}.h: errors, memory, extents, and numbers seen through strides. */
#include <pthread.h>

#include "tests/engine/lab.h"

/* ---- errors -------------------------------------------------------------------------------- */

static void errors_grow_from_the_front(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(err_set(&e, ERR_INVALID, "/in_features", "must be %d..%d", 1, 9), ERR_INVALID);
    assert_int_equal(e.line, __LINE__ - 1);
    assert_non_null(strstr(e.file, "test_tensor.c"));
    assert_int_equal(err_prefix(&e, "/layers/%d", 2), ERR_INVALID);
    assert_int_equal(err_wrap(&e, "model %s: ", "m"), ERR_INVALID);
    assert_string_equal(e.pointer, "/layers/2/in_features");
    assert_string_equal(e.message, "model m: must be 1..9");
    assert_int_equal(err_set(&e, ERR_NOMEM, "", "no memory"), ERR_NOMEM);
    assert_int_equal(err_prefix(&e, "/layers"), ERR_NOMEM); /* is no field's fault */
    assert_string_equal(e.pointer, "");
}

static void long_errors_are_cut_and_ended(void **state)
{
    (void)state;
    char text[1000];
    struct err e;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    (void)err_set(&e, ERR_IO, text, "%s", text);
    assert_int_equal(strlen(e.pointer), sizeof e.pointer - 1);
    assert_int_equal(strlen(e.message), sizeof e.message - 1);
    (void)err_prefix(&e, "/first");
    (void)err_wrap(&e, "first: ");
    assert_int_equal(strlen(e.pointer), sizeof e.pointer - 1);
    assert_int_equal(strlen(e.message), sizeof e.message - 1);
    assert_memory_equal(e.pointer, "/firstxx", 8);
    assert_memory_equal(e.message, "first: xx", 9);
    memset(text, 'y', sizeof text - 1);
    (void)err_wrap(&e, "%s", text);
    assert_int_equal(strlen(e.message), sizeof e.message - 1);
    assert_null(strchr(e.message, 'x'));
}

static void kinds_have_slugs_of_their_own(void **state)
{
    (void)state;
    assert_string_equal(err_slug(ERR_OK), "ok");
    assert_string_equal(err_slug(ERR_NOMEM), "out-of-memory");
    for (int a = 0; a < ERR_KIND_COUNT; a++) {
        assert_non_null(err_title((enum err_kind)a));
        for (int b = 0; b < a; b++)
            assert_string_not_equal(err_slug((enum err_kind)a), err_slug((enum err_kind)b));
    }
}

static void keys_are_escaped_for_pointers(void **state)
{
    (void)state;
    char out[16];
    err_escape("a/b~c", out, sizeof out);
    assert_string_equal(out, "a~1b~0c");
    err_escape("", out, sizeof out);
    assert_string_equal(out, "");
    memset(out, '!', sizeof out);
    err_escape("////////", out, 6); /* no escape is cut in two */
    assert_string_equal(out, "~1~1");
    assert_int_equal(out[6], '!');
}

/* ---- memory -------------------------------------------------------------------------------- */

static bool is_aligned(const void *block, size_t bytes)
{
    size_t least = bytes < MEM_SMALL ? _Alignof(max_align_t) : MEM_ALIGN;
    return (uintptr_t)block % least == 0;
}

static void blocks_are_zeroed_and_aligned(void **state)
{
    (void)state;
    static const char zeros[4096];
    for (size_t n = 0; n < 700; n += 7) {
        char *block = mem_array(n, 3);
        assert_non_null(block);
        assert_true(is_aligned(block, 3 * n));
        assert_memory_equal(block, zeros, 3 * n);
        memset(block, 1, 3 * n);
        mem_free(block);
    }
    mem_free(NULL);
}

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    size_t out;
    char block[8];
    assert_true(mem_mul(SIZE_MAX / 2, 2, &out) && out == SIZE_MAX - 1);
    assert_false(mem_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_null(mem_array(SIZE_MAX, 2));
    assert_null(mem_array(SIZE_MAX / 8 + 2, 8));
    assert_null(mem_array(SIZE_MAX - 3, 1)); /* no room for the alignment */
    assert_null(mem_resize(block, 1, SIZE_MAX, 8));
    struct arena a = {0};
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - MEM_ALIGN - 1));
    assert_null(a.chunks);
}

static void a_text_is_cut_to_its_room(void **state)
{
    char room[5] = "....";
    (void)state;
    assert_int_equal(mem_fit(room, 4, "abc"), 3);
    assert_memory_equal(room, "abc\0", 5);
    assert_int_equal(mem_fit(room, 4, "wxyz"), 3);
    assert_memory_equal(room, "wxy\0", 5);
    assert_int_equal(mem_fit(room, 1, "abc"), 0);
    assert_memory_equal(room, "\0xy\0", 5);
    assert_int_equal(mem_fit(room, 4, ""), 0);
    assert_string_equal(room, "");
}

static void blocks_keep_their_contents_when_resized(void **state)
{
    (void)state;
    int *block = mem_resize(NULL, 0, 3, sizeof *block);
    assert_non_null(block);
    for (int i = 0; i < 3; i++)
        block[i] = i;
    block = mem_resize(block, 3, 1000, sizeof *block);
    assert_true(block && block[0] == 0 && block[2] == 2);
    block = mem_resize(block, 1000, 2, sizeof *block);
    assert_true(block && block[1] == 1);
    lab_fail_allocation(0);
    assert_null(mem_resize(block, 2, 4000, sizeof *block));
    lab_fail_allocation(-1);
    assert_int_equal(block[1], 1);
    mem_free(block);
    char *text = mem_string("text");
    assert_string_equal(text, "text");
    mem_free(text);
}

static void blocks_tell_what_they_take(void **state)
{
    static const size_t bytes[] = {0, 1, 55, 56, 57, 64, 999, 1000, 100000, 5000000};
    (void)state;
    assert_int_equal(mem_size(NULL), 0);
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        unsigned char *block = mem_array(bytes[i], 1);
        assert_non_null(block);
        assert_true(is_aligned(block, bytes[i]));
        assert_in_range(mem_size(block), bytes[i] + sizeof(size_t), bytes[i] + 8192);
        for (size_t k = 0; k < bytes[i]; k++)
            assert_int_equal(block[k], 0);
        mem_free(block);
    }
}

/* Takes and gives back more than a thread keeps. arg: then lets go of that too. */
static void *take_and_give(void *arg)
{
    static const size_t bytes[] = {999, 1000, 1016, 5000, 16000, 16384, 100000};
    void *block[400];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT(block); i++) {
            block[i] = mem_array(bytes[i % COUNT(bytes)], 1);
            if (!block[i] || !is_aligned(block[i], bytes[i % COUNT(bytes)]))
                return NULL;
        }
        for (size_t i = 0; i < COUNT(block); i++)
            mem_free(block[i]);
    }
    if (arg)
        mem_let_go();
    return &mem_fault;
}

static void what_is_freed_is_kept_within_bounds(void **state)
{
    struct mem_heap before, after;
    pthread_t thread;
    void *fine;
    (void)state;
    mem_heap_read(&before);
    assert_non_null(take_and_give(NULL));
    mem_heap_read(&after);
    assert_true(after.pieces < before.pieces + MEM_AT_HAND + 4096);
    mem_heap_read(&before);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(pthread_create(&thread, NULL, take_and_give, &before), 0);
        assert_int_equal(pthread_join(thread, &fine), 0);
        assert_non_null(fine);
    }
    mem_heap_read(&after);
    assert_true(after.pieces < before.pieces + MEM_AT_HAND);
}

static void allocations_are_counted_and_can_fail(void **state)
{
    (void)state;
    uint64_t before = mem_allocations();
    mem_free(mem_array(1, 1));
    assert_int_equal(mem_allocations(), before + 1);
    lab_fail_allocation(0);
    struct arena a = {0};
    assert_null(mem_array(1, 1));
    assert_null(mem_string(""));
    assert_null(arena_alloc(&a, 1));
    assert_int_equal(lab_faults_fired(), 3);
    lab_fail_allocation(-1);
    assert_int_equal(mem_allocations(), before + 1);
    void *piece = arena_alloc(&a, 1); /* works once there is memory */
    assert_non_null(piece);
    arena_close(&a);
}

/* Pieces of the sizes of round `round`: each is written throughout and must stay as it was. */
static void fill_arena(struct arena *a, int round)
{
    unsigned char *piece[60];
    for (int i = 0; i < 60; i++) {
        size_t bytes = (size_t)(i * i * 17 % (round + 2000));
        piece[i] = arena_alloc(a, bytes);
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % MEM_ALIGN, 0);
        memset(piece[i], i, bytes);
    }
    for (int i = 0; i < 60; i++)
        for (size_t j = 0; j < (size_t)(i * i * 17 % (round + 2000)); j++)
            assert_int_equal(piece[i][j], i);
}

static void an_arena_begins_as_small_as_it_is_told(void **state)
{
    struct arena small = {.least = 256}, large = {.least = (size_t)1 << 30};
    (void)state;
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&small, 64));
    assert_in_range(small.total, 6400, 4 * 6400);
    assert_non_null(arena_alloc(&large, 64));
    assert_true(large.total <= (size_t)64 << 10);
    arena_close(&small);
    arena_close(&large);
    assert_int_equal(small.total, 0);
}

static void arenas_are_reused(void **state)
{
    (void)state;
    struct arena a = {0};
    arena_reset(&a);
    for (int round = 0; round < 20; round++) {
        fill_arena(&a, round * 100);
        void *large = arena_alloc(&a, 300000); /* more than a chunk */
        assert_non_null(large);
        memset(large, 0, 300000);
        arena_reset(&a);
    }
    uint64_t before = mem_allocations();
    for (int i = 0; i < 3; i++) {
        fill_arena(&a, 1900);
        assert_non_null(arena_alloc(&a, 300000));
        arena_reset(&a);
    }
    assert_int_equal(mem_allocations(), before);
    arena_close(&a);
    arena_close(&a);
    assert_true(!a.chunks && a.total == 0 && a.used == 0);
}

/* A reset that finds no memory for the one chunk leaves an arena that grows anew. */
static void arenas_survive_a_failed_reset(void **state)
{
    (void)state;
    struct arena a = {0};
    assert_non_null(arena_alloc(&a, 50000));
    assert_non_null(arena_alloc(&a, 500000));
    lab_fail_allocation(0);
    arena_reset(&a);
    assert_null(arena_alloc(&a, 100));
    lab_fail_allocation(-1);
    fill_arena(&a, 0);
    arena_close(&a);
}

/* ---- extents ------------------------------------------------------------------------------- */

static void extents_are_checked(void **state)
{
    (void)state;
    static const int64_t nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    struct shape s;
    struct err e;
    assert_int_equal(shape_make(nine, 8, &s, &e), ERR_OK);
    assert_int_equal(shape_count(&s), 1);
    assert_int_equal(shape_make(nine, 0, &s, &e), ERR_OK);
    assert_int_equal(shape_count(&s), 1);
    assert_int_equal(shape_make(nine, 9, &s, &e), ERR_INVALID);
    assert_int_equal(shape_make(nine, -1, &s, &e), ERR_INVALID);
    assert_int_equal(shape_make((int64_t[]){2, -1}, 2, &s, &e), ERR_INVALID);
    assert_non_null(strstr(e.message, "negative, got -1"));
    assert_int_equal(shape_make((int64_t[]){INT64_MAX, 1}, 2, &s, &e), ERR_OK);
    assert_int_equal(shape_make((int64_t[]){INT64_MAX, 2}, 2, &s, &e), ERR_INVALID);
    assert_int_equal(shape_make((int64_t[]){3, 0, 4}, 3, &s, &e), ERR_OK);
    assert_int_equal(shape_count(&s), 0);
    /* empty, but its strides would not fit */
    assert_int_equal(shape_make((int64_t[]){INT64_MAX, 0, 2}, 3, &s, &e), ERR_INVALID);
}

static void shapes_are_compared(void **state)
{
    (void)state;
    struct shape scalar = SCALAR, other = {.rank = 2, .dim = {2, 3, 99}};
    assert_true(shape_equal(&SHAPE(2, 3), &other)); /* what is behind the rank does not count */
    assert_false(shape_equal(&SHAPE(2, 3), &SHAPE(3, 2)));
    assert_false(shape_equal(&SHAPE(2), &SHAPE(2, 1)));
    assert_true(shape_equal(&scalar, &scalar));
    assert_false(shape_equal(&scalar, &SHAPE(1)));
}

static void shapes_broadcast_as_in_pytorch(void **state)
{
    (void)state;
    static const struct {
        struct shape a, b, out; /* out of rank -1: refused */
    } cases[] = {
        {DIMS(2, 3), DIMS(3), DIMS(2, 3)},
        {DIMS(3), DIMS(2, 3), DIMS(2, 3)},
        {SCALAR, DIMS(2, 0), DIMS(2, 0)},
        {DIMS(1), SCALAR, DIMS(1)},
        {DIMS(4, 1, 3), DIMS(2, 1), DIMS(4, 2, 3)},
        {DIMS(0), DIMS(1), DIMS(0)},
        {DIMS(0), DIMS(2), {.rank = -1}},
        {DIMS(2, 3), DIMS(2), {.rank = -1}},
        {DIMS(INT64_MAX, 1), DIMS(2), {.rank = -1}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct shape out;
        struct err e;
        enum err_kind rc = shape_broadcast(&cases[i].a, &cases[i].b, &out, &e);
        assert_int_equal(rc, cases[i].out.rank < 0 ? ERR_INVALID : ERR_OK);
        if (!rc)
            assert_true(shape_equal(&out, &cases[i].out));
    }
}

static void shapes_have_two_texts(void **state)
{
    (void)state;
    struct shape scalar = SCALAR, widest = {.rank = RANK_MAX};
    char text[SHAPE_TEXT_BYTES];
    assert_string_equal(shape_text(&scalar, text, sizeof text), "[]");
    assert_string_equal(shape_text_x(&scalar, text, sizeof text), "");
    assert_string_equal(shape_text(&SHAPE(2, 3), text, sizeof text), "[2, 3]");
    assert_string_equal(shape_text_x(&SHAPE(2, 3), text, sizeof text), "2x3");
    for (int d = 0; d < RANK_MAX; d++)
        widest.dim[d] = INT64_MAX;
    shape_text(&widest, text, sizeof text);
    assert_int_equal(text[strlen(text) - 1], ']');
    char little[5] = "....";
    assert_string_equal(shape_text(&SHAPE(10, 20), little, 4), "[10");
}

/* ---- tensors ------------------------------------------------------------------------------- */

/* A tensor of rank 2 with those extents and strides. */
static struct tensor strided(int64_t m, int64_t n, int64_t row, int64_t column)
{
    return (struct tensor){.dtype = DTYPE_FLOAT64, .shape = SHAPE(m, n), .stride = {row, column}};
}

static void layouts_are_recognized(void **state)
{
    (void)state;
    static const struct {
        int64_t m, n, row, column;
        bool contiguous, dense;
    } cases[] = {
        {2, 3, 3, 1, true, true},   {2, 3, 1, 2, false, true}, {2, 3, 6, 2, false, false},
        {2, 3, 0, 1, false, false}, {1, 3, 99, 1, true, true}, {3, 1, 1, 99, true, true},
        {3, 1, 2, 1, false, false}, {1, 1, 7, 7, true, true},  {0, 3, 3, 1, true, true},
        {2, 3, 1, 3, false, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tensor t = strided(cases[i].m, cases[i].n, cases[i].row, cases[i].column);
        assert_int_equal(tensor_is_contiguous(&t), cases[i].contiguous);
        assert_int_equal(tensor_is_dense(&t), cases[i].dense);
    }
    struct tensor scalar = {.dtype = DTYPE_FLOAT32, .shape = SCALAR};
    assert_true(tensor_is_contiguous(&scalar) && tensor_is_dense(&scalar));
    struct tensor swapped = {.shape = DIMS(2, 3, 4), .stride = {4, 8, 1}};
    assert_true(tensor_is_dense(&swapped) && !tensor_is_contiguous(&swapped));
}

static void layouts_are_taken_over(void **state)
{
    (void)state;
    struct tensor t = strided(2, 3, 0, 0), swapped = strided(2, 3, 1, 2),
                  holes = strided(2, 3, 6, 2);
    tensor_set_layout(&t, &swapped);
    assert_true(t.stride[0] == 1 && t.stride[1] == 2);
    tensor_set_layout(&t, &holes);
    assert_true(t.stride[0] == 3 && t.stride[1] == 1);
    struct tensor flat = {.shape = DIMS(6), .stride = {1}};
    tensor_set_layout(&t, &flat); /* another rank */
    assert_true(t.stride[0] == 3 && t.stride[1] == 1);
    struct tensor cube = {.shape = DIMS(2, 3, 4)},
                  like = {.shape = DIMS(2, 3, 4), .stride = {4, 8, 1}};
    tensor_set_layout(&cube, &like);
    assert_memory_equal(cube.stride, like.stride, 3 * sizeof cube.stride[0]);
    struct tensor empty = {.shape = DIMS(2, 0, 4)};
    tensor_set_contiguous(&empty);
    assert_true(empty.stride[0] == 4 && empty.stride[1] == 4 && empty.stride[2] == 1);
}

/* What a number is after it was of that type. */
static double seen_as(int dtype, double x)
{
    return dtype == DTYPE_BOOL ? x != 0 : x;
}

/* From and to every type and layout: 2 x 3 x 2 elements among holes that must stay. */
static void copies_convert_and_follow_strides(void **state)
{
    (void)state;
    static const int64_t layouts[][3] = {{6, 2, 1}, {1, 4, 2}, {13, 4, 2}};
    struct lab l;
    lab_open(&l, NULL);
    for (int from = 0; from < DTYPE_COUNT; from++)
        for (int to = 0; to < DTYPE_COUNT; to++)
            for (size_t i = 0; i < 9; i++) {
                struct tensor *src = lab_zeros(&l, (enum dtype)from, SHAPE(30));
                struct tensor *dst = lab_zeros(&l, (enum dtype)to, SHAPE(30));
                struct tensor a = *src, b = *dst;
                a.shape = b.shape = SHAPE(2, 3, 2);
                a.offset = 2;
                b.offset = 1;
                memcpy(a.stride, layouts[i % 3], sizeof layouts[0]);
                memcpy(b.stride, layouts[i / 3], sizeof layouts[0]);
                for (int k = 0; k < 30; k++)
                    lab_put(dst, k, -7);
                for (int k = 0; k < 12; k++)
                    lab_put(&a, k, k + 1);
                tensor_copy(&b, &a);
                for (int k = 0; k < 12; k++) {
                    assert_true(lab_get(&b, k) == seen_as(to, seen_as(from, k + 1)));
                    lab_put(&b, k, -7);
                }
                for (int k = 0; k < 30; k++)
                    assert_true(lab_get(dst, k) == seen_as(to, -7));
            }
    lab_close(&l);
}

/* Matrices of which one lies by rows and one by columns, or both apart: of all sizes around those
 * of the tiles that they are copied in. */
static void matrices_are_turned(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 15, 16, 17, 33};
    struct lab l;
    lab_open(&l, NULL);
    for (size_t i = 0; i < COUNT(sizes) * COUNT(sizes) * 4; i++) {
        int64_t rows = sizes[i / 4 % COUNT(sizes)], columns = sizes[i / 4 / COUNT(sizes)];
        struct tensor a = *lab_zeros(&l, DTYPE_FLOAT32, SHAPE(rows * columns * 2)), b = a;
        b.storage = lab_zeros(&l, DTYPE_FLOAT32, SHAPE(rows * columns * 2))->storage;
        a.shape = b.shape = SHAPE(rows, columns);
        a.stride[0] = i % 2 ? 1 : 2 * columns;
        a.stride[1] = i % 2 ? rows : 1;
        b.stride[0] = i / 2 % 2 ? 2 : columns;
        b.stride[1] = i / 2 % 2 ? 2 * rows : 1;
        for (int64_t k = 0; k < rows * columns; k++)
            lab_put(&a, k, (double)k + 1);
        tensor_copy(&b, &a);
        double sum = 0;
        for (int64_t k = 0; k < rows * columns; k++)
            assert_true(lab_get(&b, k) == (double)k + 1);
        for (int64_t k = 0; k < rows * columns * 2; k++) /* and nothing beside them */
            sum += (double)((float *)b.storage->data)[k];
        assert_true(sum == (double)(rows * columns) * (double)(rows * columns + 1) / 2);
    }
    lab_close(&l);
}

static void copies_take_scalars_and_nothing(void **state)
{
    (void)state;
    double x = 0.1;
    float y = 5;
    struct storage from = {.data = &x}, to = {.data = &y};
    struct tensor a = {.storage = &from, .dtype = DTYPE_FLOAT64}, b = {.storage = &to};
    b.dtype = DTYPE_FLOAT32;
    tensor_copy(&b, &a);
    assert_true(y == 0.1f);
    a.shape = b.shape = SHAPE(3, 0);
    y = 5;
    tensor_copy(&b, &a);
    assert_true(y == 5);
}

static void wrapped_tensors_are_row_major_leaves(void **state)
{
    (void)state;
    float data[10];
    struct storage storage = {.data = data};
    struct tensor t;
    tensor_wrap(&t, &storage, DTYPE_FLOAT32, &SHAPE(2, 3), 4);
    assert_ptr_equal(tensor_data(&t), data + 4);
    assert_true(tensor_is_contiguous(&t) && tensor_count(&t) == 6);
    assert_true(!t.requires_grad && !t.grad && !t.grad_fn && !t.grad_slot);
    assert_int_equal(dtype_bytes(DTYPE_FLOAT32), 4);
    assert_int_equal(dtype_bytes(DTYPE_INT64), 8);
    assert_string_equal(dtype_name(DTYPE_FLOAT64), "float64");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_grow_from_the_front),
        cmocka_unit_test(long_errors_are_cut_and_ended),
        cmocka_unit_test(kinds_have_slugs_of_their_own),
        cmocka_unit_test(keys_are_escaped_for_pointers),
        cmocka_unit_test(blocks_are_zeroed_and_aligned),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(a_text_is_cut_to_its_room),
        cmocka_unit_test(blocks_keep_their_contents_when_resized),
        cmocka_unit_test(blocks_tell_what_they_take),
        cmocka_unit_test(what_is_freed_is_kept_within_bounds),
        cmocka_unit_test(allocations_are_counted_and_can_fail),
        cmocka_unit_test(an_arena_begins_as_small_as_it_is_told),
        cmocka_unit_test(arenas_are_reused),
        cmocka_unit_test(arenas_survive_a_failed_reset),
        cmocka_unit_test(extents_are_checked),
        cmocka_unit_test(shapes_are_compared),
        cmocka_unit_test(shapes_broadcast_as_in_pytorch),
        cmocka_unit_test(shapes_have_two_texts),
        cmocka_unit_test(layouts_are_recognized),
        cmocka_unit_test(layouts_are_taken_over),
        cmocka_unit_test(copies_convert_and_follow_strides),
        cmocka_unit_test(matrices_are_turned),
        cmocka_unit_test(copies_take_scalars_and_nothing),
        cmocka_unit_test(wrapped_tensors_are_row_major_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
