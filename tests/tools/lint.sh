#!/bin/bash
# tests/tools/lint.sh - looks at the source without running it; CFLAGS: the Makefile's.
#
# Each finding is a line "file:line: what". The exit status is 1 if there was one. What is only
# worth a look (long functions, long files) begins with "look:" and does not count.
set -u
shopt -s nullglob
read -ra flags <<<"${CFLAGS:?run make lint}"
findings=0
sources=(engine/*.[ch] storage/*.[ch] api/*.[ch] server/*.[ch])
tests=(tests/*.[ch] tests/*/*.[ch])
scripts=(docker/*.sh tests/*.sh tests/tools/*.sh .ci/run)
product=(engine storage api server)

# report: every line of stdin is a finding.
report() {
    local line
    while IFS= read -r line; do
        [[ -n $line ]] || continue
        echo "$line"
        findings=$((findings + 1))
    done
}

layout() {
    clang-format-14 --dry-run -Werror "${sources[@]}" "${tests[@]}" 2>&1 |
        grep -E ': (error|warning):' | sort -u -t: -k1,1 | sed 's/: error: .*/: not as clang-format-14 would write it/'
}

# refuse WHY PATTERN FILE...: lines in the files that match are findings.
refuse() {
    local why=$1 pattern=$2
    shift 2
    [[ $# == 0 ]] || grep -HnE "$pattern" "$@" | sed "s|\$|    <- $why|"
}

# include PATTERN: the regular expression of an #include line for one of PATTERN.
include() {
    echo "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($1)"
}

directions() {
    local not_engine='(attr|crew|dtype|err|isa|lock|mem)\.h'
    refuse "engine knows no other layer" "$(include '(storage|api|server)/')" engine/*.[ch]
    refuse "storage knows no layer to its right" "$(include '(api|server)/')" storage/*.[ch]
    refuse "api does not know the server" "$(include 'server/')" api/*.[ch]
    refuse "engine takes no locks and starts no threads" "$(include 'engine/lock.h|pthread.h|threads.h')" engine/*.c
    refuse "api starts no threads" 'pthread_create|thrd_create' api/*.[ch]
    refuse "of the engine, storage sees errors, memory, locks and data types only" \
        "$(include 'engine/')" storage/*.[ch] | grep -vE "engine/$not_engine"
    refuse "of the engine, the server sees errors, memory, locks and the crew only" \
        "$(include 'engine/')" server/*.[ch] | grep -vE "engine/$not_engine"
    refuse "the server sees storage through the api" "$(include 'storage/')" server/*.[ch]
    refuse "only the server speaks HTTP" "$(include 'microhttpd')" engine/*.[ch] storage/*.[ch] api/*.[ch]
    refuse "only storage speaks SQL" "$(include 'sqlite3')" engine/*.[ch] api/*.[ch] server/*.[ch]
    refuse "only the api parses JSON" "$(include '(cjson/)?cJSON')" engine/*.[ch] storage/*.[ch] server/*.[ch]
    refuse "tests link their own layer and those to its left" "$(include '(storage|api|server)/')" tests/engine/*.[ch]
    refuse "tests link their own layer and those to its left" "$(include '(api|server)/')" tests/storage/*.[ch]
    refuse "tests link their own layer and those to its left" "$(include 'server/')" tests/api/*.[ch]
}

# The libraries under the server neither print nor end the process; comments may speak of it.
manners() {
    refuse "a library neither prints nor ends the process" \
        '(^|[^_[:alnum:]])(v?f?printf|puts|putchar|perror|_?exit|abort|quick_exit) *\(' \
        engine/*.[ch] storage/*.[ch] api/*.[ch] | grep -vE ':[0-9]+:[[:space:]]*(/?\*|//)'
    refuse "allocate through engine/mem.h" '(^|[^_[:alnum:]])(malloc|calloc|realloc|free|strdup|strndup) *\(' \
        "${sources[@]}" | grep -vE '^engine/mem\.[ch]:|:[0-9]+:[[:space:]]*(/?\*|//)'
    refuse "no alloca" '(^|[^_[:alnum:]])alloca *\(' "${sources[@]}" "${tests[@]}"
    refuse "write it, or open an issue" '(TODO|FIXME)' "${sources[@]}" "${tests[@]}" Makefile "${scripts[@]}" |
        grep -v '^tests/tools/lint.sh:'
}

names() {
    find "${product[@]}" tests -name '*.[ch]' -printf '%f\n' | sort | uniq -d |
        sed 's/$/: a file name is used once in the whole tree/'
}

headers() {
    local header
    for header in engine/*.h storage/*.h api/*.h server/*.h tests/*.h tests/*/*.h; do
        printf '#include "%s"\ntypedef int alone;\n' "$header" |
            gcc "${flags[@]}" -DISA=baseline -fsyntax-only -x c - 2>&1 |
            grep -m1 -E '(error|warning):' | sed "s|^|$header:1: does not compile alone: |"
    done
}

locks() {
    local file
    for file in storage/*.c api/*.c server/*.c; do
        clang-14 "${flags[@]}" -DGRADD_VERSION='"lint"' -Wthread-safety -fsyntax-only "$file" 2>&1 |
            grep -E '(error|warning):'
    done
}

# Linux style: a function's body is all between a "{" and a "}" in the first column.
lengths() {
    awk '
        FNR == 1 { if (NR > 1 && count > 400) print "look: " file " has " count " lines"; file = FILENAME }
        { count = FNR }
        /^\{/ { start = FNR; name = previous }
        /^\}/ && start { if (FNR - start - 1 > 50) print "look: " FILENAME ":" start ": " FNR - start - 1 " lines: " name; start = 0 }
        { previous = $0 }
        END { if (count > 400) print "look: " file " has " count " lines" }' "${sources[@]}"
}

report < <(layout)
report < <(directions)
report < <(manners)
report < <(names)
report < <(headers)
report < <(locks)
report < <(shellcheck -f gcc "${scripts[@]}")
lengths
echo "lint: $findings findings in ${#sources[@]} source, ${#tests[@]} test files and ${#scripts[@]} scripts"
((findings == 0))
