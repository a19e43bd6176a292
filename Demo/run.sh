#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Starts a small server that leaks one socket in ten requests, puts load on it, and lets fdwatch find the leak.
#
#   run.sh FDWATCH        FDWATCH is the path of the built program
#
# Ends by itself within two minutes, cleans up, and exits 0 if the leak was found.
set -euo pipefail

if [ $# != 1 ] || [ ! -x "$1" ]; then
    echo "usage: $0 FDWATCH (the path of the built program)" >&2
    exit 64
fi
fdwatch=$1
server=$(dirname "$0")/leaky-server.py
pids=()

# A role's output comes through a pipe, so that this waits for what it says and not for a time.
start() { # ROLE [ARGUMENT]...
    exec {output}< <(exec python3 "$server" "$@" --seconds 115)
    pids+=("$!")
    read -r answer <&"$output" || { echo "demo: '$*' did not start" >&2; exit 1; }
}

cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

start upstream
upstream=$answer
start serve "$upstream"
shop_port=$answer shop_pid=${pids[-1]} shop_output=$output
python3 "$server" load "$shop_port" --seconds 110 &
pids+=("$!")
load_pid=$!

cat <<END

A small web shop runs as process $shop_pid, with 20 requests a second. For each it asks a stock service at
127.0.0.1:$upstream. In one answer of ten, "none left", it forgets to close that connection.

    fdwatch $shop_pid --until-leak --for 100s

END

status=0
"$fdwatch" "$shop_pid" --until-leak --for 100s || status=$?

# The shop counts by itself, so that you can hold it against what fdwatch said.
kill "$load_pid" 2>/dev/null || true
kill "$shop_pid"
read -r truth <&"$shop_output" || truth="an unknown number of"
echo
echo "The shop itself says: $truth connections to 127.0.0.1:$upstream were never closed."
case $status in
1) echo "fdwatch found the leak. Try it on a process of your own: fdwatch PID" ;;
0) echo "demo: fdwatch did not find the leak within 100 s" >&2 && exit 1 ;;
*) echo "demo: fdwatch failed with status $status" >&2 && exit "$status" ;;
esac
