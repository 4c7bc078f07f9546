#!/bin/bash
# tests/fuzz_corpus.sh - runs each fuzz target once over its corpus, tests/fuzz/corpus/NAME/.
#
# GRADD names the daemon's binary; the targets, replay_NAME, lie beside it.
set -eu
for target in tests/fuzz/fuzz_*.c; do
    name=$(basename "$target" .c)
    name=${name#fuzz_}
    echo "$name"
    "$(dirname "${GRADD:?}")/tests/fuzz/replay_$name" "tests/fuzz/corpus/$name/"*
done
