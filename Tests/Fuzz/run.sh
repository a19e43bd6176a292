#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes the decoders of foreign bytes, with the address sanitizer, and C and C++ with that of undefined behaviour too:
#   run.sh [SECONDS [TARGET…]]   each target for so long (60), as many at once as JOBS says (1)
#   run.sh keep [TARGET…]        make what was learned a part of the corpora, as little as covers the same
# A run begins with corpus/TARGET.tar.xz. What it learns is left in .build-fuzz/TARGET/new, an input that fails in
# .build-fuzz/TARGET/found: FUZZ_TARGET=TARGET .build-fuzz/release/fuzz FILE repeats it.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=.build-fuzz
what=${1:-60}
shift || true

# lld, as gold does not take the debug information; without the check of virtual tables, whose runtime is not linked.
FDWATCH_FUZZ=1 "${SWIFT:-swift}" build -c release --product fuzz --scratch-path $build \
    -Xswiftc -sanitize=fuzzer,address -Xswiftc -enable-testing -Xswiftc -use-ld=lld \
    -Xcc -fsanitize=address,undefined,fuzzer-no-link -Xcc -fno-sanitize=vptr -Xcc -fno-sanitize-recover=all
fuzz=$PWD/$build/release/fuzz
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <("$fuzz")

# What is found is told by the fuzzer: Swift's own account of a crash takes long and confuses the sanitizer.
export SWIFT_BACKTRACE=enable=no

one() {
    local target=$1 what=$2 folder=$build/$1
    rm -rf "$folder/corpus"
    mkdir -p "$folder/new" "$folder/found" "$folder/corpus"
    [ ! -e "Tests/Fuzz/corpus/$target.tar.xz" ] || tar -xJf "Tests/Fuzz/corpus/$target.tar.xz" -C "$folder/corpus"
    export FUZZ_TARGET=$target
    # Of 16 KiB the longest, and of each byte so much time and memory: what takes more is found, too.
    local limits=(-max_len=16384 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=512 "-artifact_prefix=$folder/found/")
    if [ "$what" = keep ]; then
        rm -rf "$folder/kept"
        mkdir "$folder/kept"
        "$fuzz" -merge=1 "${limits[@]}" "$folder/kept" "$folder/corpus" "$folder/new" 2>"$folder/log"
        tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=644 -C "$folder/kept" -cf - . \
            | xz -9e >"Tests/Fuzz/corpus/$target.tar.xz"
        echo "$target: $(ls "$folder/kept" | wc -l) inputs"
    elif "$fuzz" "-max_total_time=$what" "${limits[@]}" -print_final_stats=1 \
        "$folder/new" "$folder/corpus" 2>"$folder/log"; then
        echo "$target: $(sed -n 's/^stat::number_of_executed_units: //p' "$folder/log") executions"
    else
        echo "$target FAILED: see $folder/log"
        tail -n 40 "$folder/log"
        return 1
    fi
}
export -f one
export build fuzz
printf '%s\n' "${targets[@]}" | xargs -P "${JOBS:-1}" -I{} bash -euo pipefail -c "one {} $what"
