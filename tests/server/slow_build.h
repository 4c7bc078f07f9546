/* tests/server/slow_build.h - sanitizers make a build slow and large: tests that repeat things do
 * it less often there, and do not measure memory. */
#ifndef TESTS_SLOW_BUILD_H
#define TESTS_SLOW_BUILD_H

#ifdef __has_feature /* clang's way to ask; gcc has the other two */
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SLOW_BUILD 1
#endif
#endif
#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
#define SLOW_BUILD 1
#endif
#ifndef SLOW_BUILD
#define SLOW_BUILD 0
#endif

#define COUNT(n) (SLOW_BUILD ? (n) / 4 : (n))

#endif
