#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A systemd-journald of one's own: for tests, where none runs or where the machine's must not be touched.
#
#   journald.sh check                                  0 if usable here; 77, with the reason, if not
#   journald.sh run [--catalog=FILE]... -- CMD [ARG]...
#
# CMD and its children find a fresh journal at the usual places: libsystemd and logger send to it, journalctl reads it,
# `journalctl -x` explains it by the catalogs given. Nobody else sees it, it lies in memory, and it ends with CMD, whose
# exit status is returned. Any number may run side by side. Who is not root needs user namespaces, and CMD then takes
# itself for root.
set -euo pipefail

journald=/usr/lib/systemd/systemd-journald
[ -x "$journald" ] || journald=/lib/systemd/systemd-journald

unusable() {
    echo "journald.sh: cannot be used here: $*" >&2
    exit 77
}

usage() {
    sed -n '3,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 64
}

# What gives a mount namespace: a user namespace, too, for who is not root.
namespace=(unshare --mount --propagation=private)
[ "$(id -u)" = 0 ] || namespace+=(--user --map-root-user)

check() {
    local reason
    [ -x "$journald" ] || unusable "systemd-journald is missing (Debian: systemd)"
    command -v unshare setpriv >/dev/null || unusable "unshare or setpriv is missing (Debian: util-linux)"
    [ -s /etc/machine-id ] || unusable "/etc/machine-id is missing (systemd-machine-id-setup makes it)"
    reason=$("${namespace[@]}" mount -t tmpfs tmpfs /run 2>&1) || unusable "no mount namespace: $reason"
}

# In the new namespace: a /run of its own has every socket and, with Storage=volatile, every journal file.
cover() {
    mount -t tmpfs -o mode=0755 tmpfs /run
    # A persistent journal of the machine would be read along with ours.
    if [ -d /var/log/journal ]; then mount -t tmpfs tmpfs /var/log/journal; fi
    mkdir -p /run/systemd/journald.conf.d
    # The kernel's messages and its audit switch are the machine's: Audit= empty leaves the switch as it is.
    cat >/run/systemd/journald.conf.d/zz-own.conf <<-END
		[Journal]
		Storage=volatile
		RuntimeMaxUse=64M
		RateLimitIntervalSec=0
		RateLimitBurst=0
		ForwardToSyslog=no
		ForwardToWall=no
		ReadKMsg=no
		Audit=
	END
}

# The database of catalogs is made in a root folder of its own and put over the machine's.
install_catalogs() {
    local root=/run/catalog-root
    mkdir -p "$root/usr/lib/systemd/catalog" "$root/var/lib/systemd/catalog"
    cp -- "$@" "$root/usr/lib/systemd/catalog/"
    journalctl --root="$root" --update-catalog
    [ -d /var/lib/systemd/catalog ] || unusable "/var/lib/systemd/catalog is missing"
    mount --bind "$root/var/lib/systemd/catalog" /var/lib/systemd/catalog
}

run_inside() {
    local catalogs=() status=0 tries=500 server
    while [ "$1" != -- ]; do
        catalogs+=("$1")
        shift
    done
    shift
    cover
    if [ ${#catalogs[@]} -gt 0 ]; then install_catalogs "${catalogs[@]}"; fi

    # Should this script be killed, both end with it.
    setpriv --pdeathsig KILL "$journald" </dev/null >/dev/null 2>/run/journald.log &
    server=$!
    until journalctl --sync >/dev/null 2>&1; do
        tries=$((tries - 1))
        if [ $tries = 0 ] || ! kill -0 "$server" 2>/dev/null; then
            cat /run/journald.log >&2
            unusable "systemd-journald does not start"
        fi
        sleep 0.02
    done

    setpriv --pdeathsig KILL "$@" || status=$?
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    exit "$status"
}

case ${1:-} in
check) check ;;
run)
    shift
    catalogs=()
    while [[ ${1:-} == --catalog=* ]]; do
        catalogs+=("$(realpath -e -- "${1#*=}")")
        shift
    done
    if [ "${1:-}" != -- ] || [ $# -lt 2 ]; then usage; fi
    check
    exec "${namespace[@]}" -- bash "$0" inside ${catalogs[@]+"${catalogs[@]}"} "$@"
    ;;
inside)
    shift
    run_inside "$@"
    ;;
*) usage ;;
esac
