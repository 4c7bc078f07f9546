/* engine/attr.h - the compiler marks that the project uses; the only place for GNU extensions
 * of the declaration kind. */
#ifndef ENGINE_ATTR_H
#define ENGINE_ATTR_H

#define PRINTF_LIKE(text, args) __attribute__((format(printf, text, args)))
#define MUST_USE                __attribute__((warn_unused_result))
#define ALWAYS_INLINE           __attribute__((always_inline))
#define NEVER_INLINE            __attribute__((noinline))

/* Checked by clang -Wthread-safety: which lock guards a datum, which function needs it held. */
#if defined(__clang__)
#define GUARDED_BY(lock)   __attribute__((guarded_by(lock)))
#define REQUIRES(...)      __attribute__((exclusive_locks_required(__VA_ARGS__)))
#define ACQUIRES(...)      __attribute__((exclusive_lock_function(__VA_ARGS__)))
#define ACQUIRES_READ(...) __attribute__((shared_lock_function(__VA_ARGS__)))
#define RELEASES(...)      __attribute__((unlock_function(__VA_ARGS__)))
#define LOCKABLE           __attribute__((lockable))
#define UNCHECKED_LOCKS    __attribute__((no_thread_safety_analysis))
#else
#define GUARDED_BY(lock)
#define REQUIRES(...)
#define ACQUIRES(...)
#define ACQUIRES_READ(...)
#define RELEASES(...)
#define LOCKABLE
#define UNCHECKED_LOCKS
#endif

#endif
