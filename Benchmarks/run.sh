#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds and runs the benchmarks: some minutes. Figures go to standard error as they come, the table to standard output.
set -euo pipefail
cd "$(dirname "$0")"
make -C .. build >&2
swift build -c release >&2
export FDWATCH="$PWD/../.build/release/fdwatch"
exec .build/release/fdwatch-bench "$@"
