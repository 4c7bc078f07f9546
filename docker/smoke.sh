#!/bin/bash
# docker/smoke.sh ENGINE IMAGE - trains in a container, kills it, stops it, and asks again each time.
#
# The container runs as it should in production: not as root, nothing writable but the volume, no
# capabilities. Fails at the first thing that is not as it should be.
set -euo pipefail
engine=$1 image=$2
name=gradd-smoke-$$

# Without systemd podman can't run health checks by itself, and says so at every start.
container() {
    "$engine" "$@" 2> >(grep -v 'unable to get systemd connection' >&2)
}

finish() {
    local status=$?
    ((status == 0)) || container logs "$name" 2>&1 | tail -n 40
    container rm -f "$name" >/dev/null 2>&1 || true
    container volume rm "$name" >/dev/null 2>&1 || true
    exit "$status"
}
trap finish EXIT

# expect WHAT IS SHOULD
expect() {
    if [[ $2 != "$3" ]]; then
        printf 'FAILED: %s\n  is:        %s\n  should be: %s\n' "$1" "$2" "$3" >&2
        exit 1
    fi
    echo "ok: $1"
}

# ask METHOD PATH [BODY]: prints the answer's body; fails on an error status.
ask() {
    local answer
    answer=$(curl -sS --fail-with-body --max-time 20 -X "$1" \
        ${3+-H 'Content-Type: application/json' --data "$3"} "http://$address$2" 2>&1) || {
        printf 'FAILED: %s %s\n%s\n' "$1" "$2" "$answer" >&2
        return 1
    }
    printf '%s\n' "$answer"
}

# The published port changes with every start.
wait_ready() {
    address=$(container port "$name" 8080/tcp | head -n 1)
    for _ in {1..100}; do
        curl -fsS --max-time 2 "http://$address/readyz" >/dev/null 2>&1 && return
        sleep 0.2
    done
    echo "FAILED: not ready after 20 s" >&2
    exit 1
}

parameters() {
    ask GET /models/smoke/parameters
}

container run -d --name "$name" -v "$name:/data" -p 127.0.0.1::8080 \
    --read-only --cap-drop=ALL --security-opt=no-new-privileges "$image" >/dev/null
wait_ready
expect "does not run as root" "$(container exec "$name" id -u)" 10001
expect "the image names its health check" \
    "$(container inspect -f '{{json .Config.Healthcheck.Test}}' "$name")" \
    '["CMD","gradd","healthcheck"]'
container exec "$name" gradd healthcheck
echo "ok: healthy"

ask POST /models '{"id": "smoke", "layers": [{"type": "linear", "in_features": 1, "out_features": 1}],
    "loss": "mse", "optimizer": {"type": "sgd", "lr": 0.01}}' >/dev/null
ask POST /models/smoke/batches '{"inputs": [[0], [1], [2], [3]], "targets": [[4], [14], [24], [34]]}' >/dev/null
fresh=$(parameters)
ask POST /models/smoke/step '{"steps": 100}' >/dev/null
trained=$(parameters)
[[ $trained != "$fresh" ]] || expect "training moves the parameters" "$trained" "others"

# What a kill may lose is what came after the last checkpoint, never the model nor half a state.
container kill -s KILL "$name" >/dev/null
container start "$name" >/dev/null
wait_ready
found=$(parameters)
[[ $found == "$fresh" ]] || expect "after kill -9: a state that was" "$found" "$trained"
ask POST /models/smoke/forward '{"inputs": [[1]]}' >/dev/null
echo "ok: after kill -9 the model answers"

ask POST /models/smoke/step '{"steps": 100}' >/dev/null
trained=$(parameters)
answer=$(ask POST /models/smoke/forward '{"inputs": [[1], [2.5]]}')
container stop -t 20 "$name" >/dev/null
expect "SIGTERM ends it cleanly" "$(container inspect -f '{{.State.ExitCode}}' "$name")" 0
container start "$name" >/dev/null
wait_ready
expect "after a clean stop: the same parameters" "$(parameters)" "$trained"
expect "after a clean stop: the same answer" \
    "$(ask POST /models/smoke/forward '{"inputs": [[1], [2.5]]}')" "$answer"
echo "image: $(($(container image inspect -f '{{.Size}}' "$image") / 1000000)) MB"
