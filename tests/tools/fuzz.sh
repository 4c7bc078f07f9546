#!/bin/bash
# tests/tools/fuzz.sh SECONDS FOLDER - runs each fuzzer FOLDER/fuzz_NAME over tests/fuzz/corpus/NAME/.
#
# New inputs and crashes stay in FOLDER; what crashed is put into the corpus with its fix.
# tests/fuzz/NAME.dict, if there, is the fuzzer's dictionary. The last line is "N passed, N failed".
set -u
shopt -s nullglob
seconds=$1 folder=$2
passed=0 failed=0

run() {
    local fuzzer=$1 name=${1##*/fuzz_} corpus=()
    local found=$folder/$name
    mkdir -p "$found"
    [[ -d tests/fuzz/corpus/$name ]] && corpus=("tests/fuzz/corpus/$name")
    [[ -f tests/fuzz/$name.dict ]] && corpus+=("-dict=tests/fuzz/$name.dict")
    "$fuzzer" "$found" "${corpus[@]}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="$found-" -print_final_stats=1 >"$found.log" 2>&1
}

for fuzzer in "$folder"/fuzz_*; do
    [[ -x $fuzzer && $fuzzer != *.* ]] || continue
    if run "$fuzzer"; then
        passed=$((passed + 1))
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$folder/${fuzzer##*/fuzz_}.log")
        printf '%-30s ok, %s inputs\n' "${fuzzer##*/}" "$runs"
    else
        failed=$((failed + 1))
        printf '%-30s FAILED\n' "${fuzzer##*/}"
        tail -60 "$folder/${fuzzer##*/fuzz_}.log"
    fi
done
echo "$passed passed, $failed failed"
((failed == 0))
