#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real systemd as PID 1 of a throw-away container: packages are installed in it, and services run as they do on a host.
#
#   systemd-container.sh check                   0 if usable here; 77, with the reason, if not
#   systemd-container.sh up NAME [--while=PID]   boots it; with --while it goes down when that process ends
#   systemd-container.sh exec NAME -- CMD...     runs CMD in it as root; its exit status
#   systemd-container.sh copy-in NAME FROM TO    copies a file or a directory into it, to the path TO
#   systemd-container.sh log NAME                what its console printed
#   systemd-container.sh down NAME               ends it; nothing of it stays
#
# It sees a copy-on-write view of this machine's root folder, with none of its services enabled, and a network of its
# own that has a loopback interface only. What it writes lies in memory. Every mount is made in a mount namespace of its
# own, so that they go with it.
set -euo pipefail

state_root=/run/fdwatch-bed
boot_seconds=60

die() {
    echo "systemd-container.sh: $*" >&2
    exit 1
}

unusable() {
    echo "systemd-container.sh: cannot be used here: $*" >&2
    exit 77
}

usage() {
    sed -n '3,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 64
}

init=/usr/lib/systemd/systemd
[ -x "$init" ] || init=/lib/systemd/systemd
under_systemd() { [ -d /run/systemd/system ]; }
cgroup2() { awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts; }

check() {
    local reason
    [ "$(id -u)" = 0 ] || unusable "only root can boot a container"
    command -v systemd-nspawn >/dev/null || unusable "systemd-nspawn is missing (Debian: systemd-container)"
    [ -x "$init" ] || unusable "systemd is missing (Debian: systemd-sysv)"
    under_systemd || [ -n "$(cgroup2)" ] || unusable "cgroup2 is not mounted"
    grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || unusable "the kernel has no overlayfs"
    # The very mounts that a container begins with.
    reason=$(unshare --mount --uts --ipc --net --pid --fork --propagation=private sh -c '
        mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work /mnt/root &&
        mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root' 2>&1) ||
        unusable "no overlay in a namespace: $reason"
}

# A pid file holds the start time too: a pid that was given away again is never taken for ours.
start_time() { awk '{ sub(/^.*\) /, ""); if ($1 !~ /[ZX]/) print $20 }' "/proc/$1/stat" 2>/dev/null; }
remember() { echo "$2 $(start_time "$2")" >"$1"; }
alive() { # FILE: prints the pid
    local pid born
    { read -r pid born <"$1"; } 2>/dev/null && [ -n "$born" ] && [ "$(start_time "$pid")" = "$born" ] && echo "$pid"
}

# In the container's mount namespace, before it boots.
prepare_root() { # DIRECTORY NAME
    local root=$1/root
    mount -t tmpfs -o mode=0755 tmpfs "$1"
    mkdir "$1"/{root,upper,work}
    mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$root"
    # What is enabled on the machine stays off: only what comes with systemd and dbus runs.
    rm -rf "$root/etc/systemd/system" "$root"/etc/systemd/*.conf.d "$root/run" "$root/var/log/journal"
    rm -f "$root/etc/machine-id" "$root/usr/sbin/policy-rc.d" "$root"/etc/rc[0-9S].d/S* "$root/etc/fstab"
    # The database of manual pages is large, and made anew at each installation.
    rm -f "$root/var/lib/man-db/auto-update"
    mkdir -p "$root/run" "$root/etc/systemd/system" "$root"/etc/systemd/{journald,system}.conf.d
    tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
    echo "$2" >"$root/etc/hostname"
    # The kernel's audit switch is the machine's: Audit= empty leaves it as it is.
    ln -s /dev/null "$root/etc/systemd/system/systemd-journald-audit.socket"
    cat >"$root/etc/systemd/journald.conf.d/bed.conf" <<-'END'
		[Journal]
		Storage=volatile
		RuntimeMaxUse=128M
		RateLimitIntervalSec=0
		RateLimitBurst=0
		ForwardToSyslog=no
		ForwardToWall=no
		ReadKMsg=no
		Audit=
	END
    printf '[Manager]\nDefaultTimeoutStartSec=30s\nDefaultTimeoutStopSec=10s\n' >"$root/etc/systemd/system.conf.d/bed.conf"
    printf '[Unit]\nRequires=basic.target\nAfter=basic.target\n' >"$root/etc/systemd/system/default.target"
}

boot() { # DIRECTORY NAME: becomes systemd-nspawn
    local options=(--quiet "--directory=$1/root" "--machine=$2" --boot --private-network --register=no
        --console=read-only --resolv-conf=off --timezone=off --link-journal=no
        --capability=CAP_SYS_RESOURCE,CAP_NET_ADMIN)
    prepare_root "$1" "$2"
    if ! under_systemd; then
        # Nobody gives us a scope: a cgroup of our own.
        options+=(--keep-unit)
        mkdir -p "$(cgroup2)/fdwatch-bed.$2"
        echo $$ >"$(cgroup2)/fdwatch-bed.$2/cgroup.procs"
    fi
    # System calls are filtered by the units under test, and not by the container as well.
    export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_SECCOMP=0
    exec systemd-nspawn "${options[@]}" -- --log-target=journal-or-kmsg --show-status=yes
}

# The one child of nspawn that is the first process of its own namespace.
find_init() { # PID of nspawn
    local child
    for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
        if awk '/^NSpid:/ { exit !(NF > 2 && $NF == 1) }' "/proc/$child/status" 2>/dev/null &&
            [ "$(cat "/proc/$child/comm" 2>/dev/null)" = systemd ]; then
            echo "$child"
            return 0
        fi
    done
    return 1
}

up() { # NAME [PID that it lives as long as]
    local name=$1 directory=$state_root/$1 supervisor init_pid='' state=''
    check
    if alive "$directory/init" >/dev/null; then return 0; fi
    down "$name"
    mkdir -p "$directory/memory"
    # Neither the caller's pipes nor its signals: a caller that waits for the end of our output would wait for ever.
    setsid unshare --mount --propagation=private -- bash "$0" boot "$directory/memory" "$name" \
        </dev/null >"$directory/console" 2>&1 &
    supervisor=$!
    remember "$directory/supervisor" "$supervisor"
    local deadline=$((SECONDS + boot_seconds))
    until [ "$state" = running ] || [ "$state" = degraded ]; do
        if ! alive "$directory/supervisor" >/dev/null || [ $SECONDS -ge $deadline ]; then
            tail -n 30 "$directory/console" >&2
            down "$name"
            die "'$name' did not boot"
        fi
        if [ -z "$init_pid" ] && init_pid=$(find_init "$supervisor"); then remember "$directory/init" "$init_pid"; fi
        if [ -n "$init_pid" ]; then state=$(enter "$name" systemctl is-system-running 2>/dev/null) || true; fi
        sleep 0.05
    done
    if [ "$state" = degraded ]; then enter "$name" systemctl --failed --plain --no-legend >&2; fi
    if [ -n "${2:-}" ]; then
        setsid bash -c 'tail --pid="$1" -f /dev/null; bash "$0" down "$2"' "$0" "$2" "$name" </dev/null >/dev/null 2>&1 &
    fi
}

enter() { # NAME CMD...: in all its namespaces, and in a cgroup beside its services
    local init_pid scope
    init_pid=$(alive "$state_root/$1/init") || die "'$1' is not up"
    shift
    scope=$(cgroup2)$(awk -F: '$1 == 0 { print $3 }' "/proc/$init_pid/cgroup")
    scope=${scope%/init.scope}/bed.scope
    mkdir -p "$scope"
    (
        echo "$BASHPID" >"$scope/cgroup.procs"
        exec nsenter --target "$init_pid" --mount --uts --ipc --net --pid --cgroup -- env -i \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
            SYSTEMD_PAGER= SYSTEMD_COLORS=0 DEBIAN_FRONTEND=noninteractive "$@"
    )
}

copy_in() { # NAME FROM TO
    [ -e "$2" ] || die "there is no $2"
    # By way of tar: it keeps modes and takes directories as well.
    tar -C "$(dirname "$2")" -cf - "$(basename "$2")" | enter "$1" sh -c '
        set -e
        mkdir -p "$(dirname "$2")"
        held=$(mktemp -d "$2.XXXXXX")
        tar --no-same-owner -C "$held" -xpf -
        if [ -d "$held/$1" ] && [ -d "$2" ]; then cp -a "$held/$1/." "$2/"; else mv -f "$held/$1" "$2"; fi
        rm -rf "$held"' sh "$(basename "$2")" "$3"
}

down() {
    local directory=$state_root/$1 pid file group
    if [ ! -d "$directory" ]; then return 0; fi
    # The end of its first process is that of all others; nspawn then has nothing left to do.
    for file in init supervisor; do
        if pid=$(alive "$directory/$file"); then kill -KILL "$pid" 2>/dev/null || true; fi
        while alive "$directory/$file" >/dev/null; do sleep 0.02; done
    done
    # nspawn makes one in each hierarchy there is.
    for group in $(awk '$3 ~ /^cgroup/ { print $2 }' /proc/self/mounts); do
        group=$group/fdwatch-bed.$1
        if [ -d "$group" ]; then find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
    done
    rmdir "/run/systemd/nspawn/propagate/$1" "/run/systemd/nspawn/unix-export/$1" 2>/dev/null || true
    rm -rf --one-file-system "$directory"
    rmdir "$state_root" 2>/dev/null || true
}

command=${1:-}
[ $# -gt 0 ] && shift
if [ "$command" != check ] && [[ ! ${1:-} =~ ^(/.*|[A-Za-z0-9][A-Za-z0-9-]{0,40})$ ]]; then usage; fi
case $command in
check) check ;;
up)
    case ${2:-} in
    '') up "$1" ;;
    --while=[0-9]*) up "$1" "${2#*=}" ;;
    *) usage ;;
    esac
    ;;
exec)
    if [ "${2:-}" != -- ] || [ $# -lt 3 ]; then usage; fi
    enter "$1" "${@:3}"
    ;;
copy-in) if [ $# = 3 ]; then copy_in "$@"; else usage; fi ;;
log) cat "$state_root/$1/console" ;;
down) down "$1" ;;
boot) boot "$@" ;; # by itself only, in the new mount namespace
*) usage ;;
esac
