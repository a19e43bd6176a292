#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes the profile decoders for a while: run.sh [SECONDS]. What it finds is left in .build-fuzz, and what taught it
# something is added to the corpus.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .build-fuzz/new
"${SWIFTC:-swiftc}" -O -sanitize=fuzzer,address -parse-as-library -swift-version 6 -package-name fdwatch -module-name Fuzz \
    -Xcc -fmodule-map-file="$PWD/Sources/CZlib/module.modulemap" \
    Sources/Pprof/*.swift Tests/Fuzz/FuzzProfile.swift -o .build-fuzz/fuzz-profile
exec .build-fuzz/fuzz-profile -max_total_time="${1:-60}" -max_len=65536 -timeout=10 -rss_limit_mb=1024 \
    -artifact_prefix=.build-fuzz/ -print_final_stats=1 .build-fuzz/new Tests/Fuzz/corpus Tests/PprofTests/Fixtures
