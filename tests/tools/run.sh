#!/bin/bash
# tests/tools/run.sh PROGRAM... - runs the test programs, prints a line for each, then the sums.
#
# A program is a cmocka program or a script. What counts is cmocka's own "[ PASSED ] N" and
# "[ FAILED ] N"; a script that prints none of them is one test, judged by its exit status.
# Crashing, hanging or counting nothing is a failure. A failing program's output is shown whole.
# Those of engine and api, which only compute, run side by side, one a core; the others, which watch
# a clock, alone.
# The last line is "N passed, N failed"; the exit status is 0 if something ran and nothing failed.
set -u
limit=${TEST_TIMEOUT:-300} # seconds for one program
cores=$(nproc)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
touch "$out/counts"

# Sanitizers know only the usual address layouts; some kernels randomise more bits than that.
fixed_addresses=()
if setarch -R true 2>/dev/null; then
    fixed_addresses=(setarch -R)
fi

# sum LABEL FILE: adds up the numbers that cmocka printed as "[  LABEL  ] N test(s)".
sum() {
    sed -n "s/^\[ *$1 *\] \([0-9]*\) test(s).*/\1/p" "$2" | awk '{ n += $1 } END { print n + 0 }'
}

# run PROGRAM: a line in $out/counts for it, if it came to its end, and its report.
run() {
    local program=$1 status start=$SECONDS good bad skipped note=
    local log=$out/${program//\//_}.log
    { # bash's own word on a crash goes nowhere: the note tells it
        timeout --kill-after=10 "$limit" "${fixed_addresses[@]}" "$program" >"$log" 2>&1 </dev/null
        status=$?
    } 2>/dev/null
    good=$(sum PASSED "$log") bad=$(sum FAILED "$log") skipped=$(sum SKIPPED "$log")
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
    { # one report after the other
        flock 3
        printf '%-50s %4d passed %3d failed %4d s%s\n' "${program#build/}" "$good" "$bad" \
            $((SECONDS - start)) "$note"
        ((bad > 0)) && sed 's/^/    /' "$log"
        echo "$good $bad" >>"$out/counts"
    } 3>"$out/lock"
}

alone=()
for program in "$@"; do
    case $program in
    */tests/engine/* | */tests/api/*)
        while (($(jobs -rp | wc -l) >= cores)); do wait -n; done
        run "$program" &
        ;;
    *) alone+=("$program") ;;
    esac
done
wait
for program in "${alone[@]}"; do
    run "$program"
done

read -r ran passed failed < <(awk '{ good += $1; bad += $2 } END { print NR, good + 0, bad + 0 }' \
    "$out/counts")
failed=$((failed + $# - ran)) # of one that left no count nothing is known
echo "$passed passed, $failed failed"
((failed == 0 && passed > 0))
