#!/bin/bash
# tests/tools/seeds.sh PROGRAM COUNT [FIRST [SECONDS]] - runs PROGRAM N for COUNT numbers N from
# FIRST (1) on, two at a time, for SECONDS (7200) at most.
#
# Shows how far it is, and what the programs said that failed. The last line tells how many ran and
# failed; the exit status is 0 if something ran and nothing failed.
set -u
program=$1 count=$2 first=${3:-1} seconds=${4:-7200}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
: >"$folder/ran"

# one N: a run; its output is kept if it fails.
one() {
    timeout --kill-after=10 600 "$program" "$1" >"$folder/$1" 2>&1 </dev/null
    local status=$?
    ((status == 0)) && rm "$folder/$1" || echo "exit status $status" >>"$folder/$1"
    echo "$1" >>"$folder/ran"
}
export -f one
export program folder

seq "$first" $((first + count - 1)) | timeout "$seconds" xargs -P 2 -I N bash -c 'one N' &
while sleep 1; jobs %1 >/dev/null 2>&1 && [[ -n $(jobs -r) ]]; do
    ((SECONDS % 30 == 0)) && echo "$SECONDS s: $(wc -l <"$folder/ran") of $count"
done
wait

failed=0
for output in "$folder"/[0-9]*; do
    [[ -e $output ]] || continue
    failed=$((failed + 1))
    ((failed <= 20)) && echo "$program ${output##*/} failed:" && cut -c1-500 "$output" | head -20
done
ran=$(wc -l <"$folder/ran")
echo "$ran of $count ran in $SECONDS s, $failed failed"
((failed == 0 && ran > 0))
