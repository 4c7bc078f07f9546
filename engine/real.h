/* engine/real.h - one body of loops, two types of numbers.
 *
 * A kernel file includes its .inc twice, once with REAL float and once with REAL double; NAME(f)
 * is f_f32 in one and f_f64 in the other, and BY_TYPE (engine/ops.h) picks at run time. What
 * integers have too is included once more, with REAL int64_t (f_i64, BY_NUMBER), and what bools
 * have too with REAL bool (f_bool, BY_ANY).
 *
 *     #define REAL float
 *     #include "engine/op_loss.inc"
 *
 * This header is included first by each .inc, and so every time anew.
 */
#undef NAME
#undef REAL_IS_float
#undef REAL_IS_double
#undef REAL_IS_int64_t
#undef REAL_IS__Bool
#define REAL_IS_float   1
#define REAL_IS_double  2
#define REAL_IS_int64_t 3
#define REAL_IS__Bool   4
#define REAL_TYPE_(t)   REAL_IS_##t
#define REAL_TYPE(t)    REAL_TYPE_(t)
#if REAL_TYPE(REAL) == REAL_IS_float
#define NAME(f) f##_f32
#elif REAL_TYPE(REAL) == REAL_IS_int64_t
#define NAME(f) f##_i64
#elif REAL_TYPE(REAL) == REAL_IS__Bool
#define NAME(f) f##_bool
#else
#define NAME(f) f##_f64
#endif
