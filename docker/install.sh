#!/bin/sh
# docker/install.sh LIST... - installs what is missing of the packages in docker/packages/LIST.
#
# Says nothing and needs no network when nothing is missing. Without the right to install, it
# prints the one line that does and fails. Where there is no dpkg it leaves the matter to the
# compiler's messages.
# shellcheck disable=SC2086  # lists of package names are split into words on purpose
set -eu
cd "$(dirname "$0")/packages"
command -v dpkg-query >/dev/null || exit 0

wanted=$(sed 's/[[:space:]]*#.*//' "$@" | sort -u)
present=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $wanted 2>/dev/null |
    sed -n 's/ installed$//p' || true)
missing=$(printf '%s\n' $wanted | grep -vxF -e "$present" | tr '\n' ' ' || true)
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "packages are missing; install them with:" >&2
        echo "  sudo apt-get install --no-install-recommends $missing" >&2
        exit 1
    fi
    as_root="sudo -n"
fi

apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}
install_missing() {
    apt update && apt install -y --no-install-recommends $missing
}

echo "installing $missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! install_missing >"$log" 2>&1 && ! { sleep 5 && install_missing >"$log" 2>&1; }; then
    cat "$log" >&2
    echo "apt-get could not install $missing" >&2
    exit 1
fi
