#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs all tests that `swift build --build-tests` made, in several processes side by side. A process runs few tests at
# once, and most of them wait: for a container to boot, for a leak to be sure of. One after the other in one process
# they would leave the processor idle, and those that take no time would stand behind those that do.
set -uo pipefail
cd "$(dirname "$0")/.."
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# NAME OPTION…: one process, its words kept until it has ended.
run() {
    local name=$1 began=$SECONDS status=0
    shift
    # Without the lock of the build folder, since nothing is built; without the other runner, which would close with
    # "0 tests": there is no XCTest here.
    "${SWIFT:-swift}" test --skip-build --ignore-lock --disable-xctest "$@" </dev/null >"$logs/$name" 2>&1 || status=$?
    cat "$logs/$name"
    echo "== $name: status $status after $((SECONDS - began)) s"
    return $status
}

# The modules of tests that start whole programs and wait for them.
containers='^(ContainerTests|SystemdTests|PackagingTests)\.'
programs='^(CommandTests|DaemonTests|LeakProfileTests)\.'
pids=()
run containers --filter "$containers" &
pids+=($!)
run programs --filter "$programs" &
pids+=($!)
run others --skip "$containers" --skip "$programs" &
pids+=($!)
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
exit $failed
