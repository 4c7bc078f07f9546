#!/bin/bash
# tests/tools/run.sh PROGRAM... - runs each test program, prints a line for each, then the sums.
#
# A program is a cmocka program or a script. What counts is cmocka's own "[ PASSED ] N" and
# "[ FAILED ] N"; a script that prints none of them is one test, judged by its exit status.
# Crashing, hanging or counting nothing is a failure. A failing program's output is shown whole.
# The last line is "N passed, N failed"; the exit status is 0 if something ran and nothing failed.
set -u
limit=${TEST_TIMEOUT:-300} # seconds for one program
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0

# Sanitizers know only the usual address layouts; some kernels randomise more bits than that.
fixed_addresses=()
if setarch -R true 2>/dev/null; then
    fixed_addresses=(setarch -R)
fi

# sum LABEL: adds up the numbers that cmocka printed as "[  LABEL  ] N test(s)".
sum() {
    sed -n "s/^\[ *$1 *\] \([0-9]*\) test(s).*/\1/p" "$log" | awk '{ n += $1 } END { print n + 0 }'
}

run() {
    local program=$1 status start=$SECONDS good bad skipped note=
    { # bash's own word on a crash goes nowhere: the note tells it
        timeout --kill-after=10 "$limit" "${fixed_addresses[@]}" "$program" >"$log" 2>&1 </dev/null
        status=$?
    } 2>/dev/null
    good=$(sum PASSED) bad=$(sum FAILED) skipped=$(sum SKIPPED)
    if [[ $program == *.sh ]] && ((good + bad == 0)); then
        ((status == 0)) && good=1 || bad=1
    fi
    if ((status == 124 || status == 137)); then
        note=" TIMEOUT after $limit s"
    elif ((status > 128)); then
        note=" KILLED by signal $((status - 128))"
    elif ((status != 0 && bad == 0)); then
        note=" EXIT $status"
    elif ((good + bad + skipped == 0)); then
        note=" NOTHING RAN"
    fi
    [[ -n $note ]] && bad=$((bad + 1))
    ((skipped > 0)) && note+=" $skipped skipped"
    printf '%-50s %4d passed %3d failed %4d s%s\n' "${program#build/}" "$good" "$bad" \
        $((SECONDS - start)) "$note"
    ((bad > 0)) && sed 's/^/    /' "$log"
    passed=$((passed + good)) failed=$((failed + bad))
}

for program in "$@"; do
    run "$program"
done
echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
