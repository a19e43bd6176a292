#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compiles the BPF program and writes its light skeleton, a header that loads it by bpf(2) alone.
#
#   openers-skeleton.sh FILE
set -euo pipefail

[ $# = 1 ] || { echo "usage: $0 FILE" >&2; exit 64; }
output=$(realpath "$1")
cd "$(dirname "$0")/../Sources/COpeners/bpf"
swift=$(command -v "${SWIFT:-swift}")
clang=$(dirname "$(realpath "$swift")")/clang
[ -x "$clang" ] || clang=clang
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The build id and paths would differ from machine to machine; the debug data give the program its types.
"$clang" -O2 -g -target bpf -D__x86_64__ -I/usr/include/x86_64-linux-gnu -ffile-prefix-map="$PWD"=. \
    -c openers.bpf.c -o "$work/openers.bpf.o"
PATH=$PATH:/usr/sbin bpftool gen skeleton -L "$work/openers.bpf.o" name openers >"$work/skeleton"
{
    echo "/* Made by 'make openers-skeleton' from openers.bpf.c: do not edit."
    echo " * $("$clang" --version | head -n 1 | cut -d ' ' -f 1-3), $(PATH=$PATH:/usr/sbin bpftool version | head -n 1 | sed 's/.*bpftool/bpftool/') */"
    cat "$work/skeleton"
} >"$output"
