#!/bin/bash
# tests/readme.sh - runs every ```console block of the README against a real daemon and compares
# what is printed with what stands there. "…" stands for any text within a line, a line that is
# nothing but "…" for any lines. `$ ` begins a command, `> ` goes on with it.
#
# GRADD names the daemon's binary. Run from the top of the tree.
set -u
gradd=$(realpath "${GRADD:-build/release/gradd}")
work=$(mktemp -d)
trap 'kill "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; rm -rf "$work"' EXIT

"$gradd" --listen 127.0.0.1:0 --data "$work/gradd.db" --network-files allow 2>"$work/log" &
pid=$!
for _ in $(seq 100); do
    address=$(sed -n 's/.*listening on http:\/\///p' "$work/log")
    [[ -n $address ]] && break
    sleep 0.05
done
[[ -n $address ]] || { cat "$work/log"; echo "the daemon did not start"; exit 1; }

# One command a file, NNN.sh, and what it should print, NNN.want.
awk -v dir="$work" '
    /^```console$/ { on = 1; next }
    /^```/         { on = 0; next }
    !on            { next }
    /^\$ /         { name = sprintf("%s/%03d", dir, ++n); print substr($0, 3) > (name ".sh"); printf "" > (name ".want"); next }
    /^> /          { print substr($0, 3) > (name ".sh"); next }
                   { print > (name ".want") }' README.md
mkdir "$work/here" && ln -s "$PWD/tests" "$work/here/tests" && cd "$work/here" || exit 1

# A line of the README as a pattern: everything literal but "…".
pattern() {
    sed -e 's/[][*?\\]/\\&/g' -e 's/…/*/g' <<<"$1"
}

# fits LINE WANTED: is it what the README says, "…" for any text?
fits() {
    local shape
    shape=$(pattern "$2")
    # shellcheck disable=SC2053  # a pattern on purpose
    [[ $1 == $shape ]]
}

# same WANT GOT: do the files agree, line by line?
same() {
    local wanted printed line i=0 any=0
    mapfile -t wanted <"$1"
    mapfile -t printed <"$2"
    for line in "${wanted[@]}"; do
        if [[ $line == … ]]; then
            any=1
            continue
        fi
        while ((any && i < ${#printed[@]})) && ! fits "${printed[i]}" "$line"; do
            i=$((i + 1))
        done
        ((i < ${#printed[@]})) && fits "${printed[i]}" "$line" || return 1
        i=$((i + 1)) any=0
    done
    ((any || i == ${#printed[@]}))
}

ran=0
for script in "$work"/[0-9]*.sh; do
    want=${script%.sh}.want got=${script%.sh}.got
    sed "s/127\.0\.0\.1:8080/$address/g" "$script" >"$script.run"
    bash -eu "$script.run" >"$got" 2>&1
    echo >>"$got" # curl ends without a line feed
    sed -i -e '${/^$/d}' "$got"
    ran=$((ran + 1))
    if ! same "$want" "$got"; then
        echo "the README says that"
        sed 's/^/    /' "$script"
        echo "prints"
        sed 's/^/    /' "$want"
        echo "but it prints"
        cut -c1-2000 "$got" | sed 's/^/    /'
        exit 1
    fi
done

# Its table of options is the program's own.
"$gradd" --help=markdown >"$work/options"
while IFS= read -r line; do
    grep -qxF -e "$line" "$OLDPWD/README.md" || { echo "the README lacks the line"; echo "$line"; exit 1; }
done <"$work/options"

((ran > 10)) || { echo "the README has $ran commands"; exit 1; }
echo "$ran commands of the README do as it says"
