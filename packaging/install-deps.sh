#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing of what fdwatch is built, tested and tried with. The one place that lists it.
#
#   install-deps.sh [build] [test] [demo] [bench] [package] [skeleton]      what it is wanted for; build by default
#
# Looks for what a package gives rather than for the package: so it also serves where there is no apt-get, and then
# says what to install. Asks for root's rights only if something is missing.
set -euo pipefail

has() { # COMMAND...: all of them
    local name
    for name; do command -v "$name" >/dev/null || return 1; done
}
has_library() { has pkg-config && pkg-config --exists "$1"; }

missing=()
need() { # PACKAGE TEST...
    local package=$1
    shift
    "$@" || missing+=("$package")
}

# Headers only, which not every system ships with a file for pkg-config.
has_tomlplusplus() { has_library tomlplusplus || [ -e /usr/include/toml++/toml.h ]; }
has_bpf_headers() { [ -e /usr/include/bpf/skel_internal.h ]; }
has_bpftool() { has bpftool || [ -x /usr/sbin/bpftool ]; }
has_journald() { has journalctl && { [ -x /usr/lib/systemd/systemd-journald ] || [ -x /lib/systemd/systemd-journald ]; }; }

for purpose in "${@:-build}"; do
    case $purpose in
    build)
        need pkg-config has pkg-config
        need libsystemd-dev has_library libsystemd
        need zlib1g-dev has_library zlib
        need libdw-dev has_library libdw # headers; the library is loaded when a profile has addresses only
        need libbpf-dev has_bpf_headers # headers only: the loader of the BPF program includes one
        need libtomlplusplus-dev has_tomlplusplus
        need libcurl4-openssl-dev has_library libcurl # headers; the library is loaded when a profile is fetched
        ;;
    test)
        need systemd has_journald # some tests start a journald of their own
        need xz-utils has xz # the corpora of Tests/Fuzz
        need util-linux has unshare nsenter setpriv
        need mount has mount
        need iproute2 has ip
        need mandoc has mandoc # checks the manual
        need gcc has cc make # the examples in C, and the library for them
        need python3 has python3
        need golang-go has go # a real Go program is watched, and its tools read what we write
        # A container is booted, and the package installed in it.
        need systemd-container has systemd-nspawn
        need systemd-sysv test -e /sbin/init
        need dbus has dbus-daemon
        need dpkg-dev has dpkg-shlibdeps
        need lintian has lintian
        need prometheus has promtool
        need curl has curl # a hook uses it
        ;;
    skeleton)
        need bpftool has_bpftool
        need libbpf-dev has_bpf_headers
        ;;
    package) need dpkg-dev has dpkg-shlibdeps ;;
    demo) need python3 has python3 ;;
    bench)
        need lsof has lsof
        need util-linux-extra has lsfd
        need prometheus-process-exporter has prometheus-process-exporter
        need curl has curl
        ;;
    *)
        echo "usage: $0 [build] [test] [demo] [bench] [package] [skeleton]" >&2
        exit 64
        ;;
    esac
done

[ ${#missing[@]} -gt 0 ] || exit 0
if ! has apt-get; then
    echo "Missing, by the names of Debian's packages: ${missing[*]}. Please install them; there is no apt-get here." >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" != 0 ]; then
    if ! has sudo; then
        echo "Missing: ${missing[*]}. As root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "Installing by apt-get what is missing: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# A fresh machine has no lists yet.
"${as_root[@]}" apt-get update -qq
# Prometheus is wanted for promtool: no service shall start. Packages ask this program before they start one.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
# That keeps it from starting now; and at the next boot it is not to start either.
if [[ " ${missing[*]} " == *" prometheus "* ]] && [ -d /run/systemd/system ]; then
    "${as_root[@]}" systemctl disable --quiet prometheus || true
fi
