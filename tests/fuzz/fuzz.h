/* tests/fuzz/fuzz.h - what libFuzzer and replay_main.c call: one for each program. Always returns
 * 0; a finding is a crash. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#endif
