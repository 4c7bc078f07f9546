#!/bin/bash
# docker/image.sh TAG - builds the image TAG and smoke-tests it, with docker, or podman and buildah.
# docker/image.sh --works - succeeds if one of them is there and usable, prints nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
base=docker.io/library/debian:bookworm-slim

find_engine() {
    if docker info >/dev/null 2>&1; then
        echo docker
    elif command -v buildah >/dev/null && podman info >/dev/null 2>&1; then
        echo podman
    else
        return 1
    fi
}

# Asks of the kernel what a container without privileges of its own is given anywhere: podman's
# defaults want more open files than some machines allow, and systemd.
configure_podman() {
    mkdir -p build/image
    cat >build/image/containers.conf <<'END'
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
END
    export CONTAINERS_CONF=$PWD/build/image/containers.conf
}

# Where no registry answers, the base image is made of Debian's packages, under its public name.
find_base() {
    "$engine" image inspect "$base" >/dev/null 2>&1 && return
    timeout 120 "$engine" pull "$base" >/dev/null 2>&1 && return
    echo "no registry: making $base with mmdebstrap" >&2
    docker/install.sh image
    local sources=(/etc/apt/sources.list.d/*.sources)
    [[ -f ${sources[0]} ]] || sources=(/etc/apt/sources.list)
    mkdir -p build/image
    mmdebstrap --quiet --variant=minbase --mode=root --include=usr-is-merged \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        bookworm build/image/base.tar "${sources[0]}"
    "$engine" import --change 'CMD ["bash"]' build/image/base.tar "$base" >/dev/null
    rm build/image/base.tar
}

# buildah's own format would drop the HEALTHCHECK.
build() {
    if [[ $engine == docker ]]; then
        docker build -f docker/Dockerfile -t "$1" .
    else
        buildah bud --isolation chroot --pull-never --format docker --layers \
            --ignorefile docker/Dockerfile.dockerignore -t "$1" -f docker/Dockerfile .
    fi
}

if [[ ${1:?usage: docker/image.sh TAG} == --works ]]; then
    find_engine >/dev/null
    exit
fi
find_engine >/dev/null || docker/install.sh image
configure_podman
engine=$(find_engine) || { echo "neither docker nor podman works here" >&2; exit 1; }
find_base
build "$1"
docker/smoke.sh "$engine" "$1"
