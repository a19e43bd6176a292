#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes the profile decoders for a while: run.sh [SECONDS]. It begins with what earlier runs learned, in corpus.tar.gz, and
# leaves what it finds in .build-fuzz. To keep what it has learned: .build-fuzz/fuzz-profile -merge=1 FOLDER .build-fuzz/new
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p .build-fuzz/new .build-fuzz/corpus
tar -xzf Tests/Fuzz/corpus.tar.gz -C .build-fuzz/corpus
"${SWIFTC:-swiftc}" -O -sanitize=fuzzer,address -parse-as-library -swift-version 6 -package-name fdwatch -module-name Fuzz \
    -Xcc -fmodule-map-file="$PWD/Sources/CZlib/module.modulemap" \
    Sources/Pprof/*.swift Tests/Fuzz/FuzzProfile.swift -o .build-fuzz/fuzz-profile
exec .build-fuzz/fuzz-profile -max_total_time="${1:-60}" -max_len=65536 -timeout=10 -rss_limit_mb=1024 \
    -artifact_prefix=.build-fuzz/ -print_final_stats=1 .build-fuzz/new .build-fuzz/corpus Tests/PprofTests/Fixtures
