#!/usr/bin/env bash
# fuzz.sh NAME [SECONDS]: builds fuzz_NAME and runs it on its seed corpus for so long. What it finds is kept in
# .cache/fuzz/NAME and used by the next run; a crashing input is left in build/fuzz/crashes and its path printed.
# The seed corpus of src/ROOM/X_fuzz.cc is the folder src/ROOM/testdata/fuzz/X.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=${1:?usage: fuzz.sh NAME [SECONDS]}
seconds=${2:-60}
build=${DLOG_BUILD:-$root/build}/fuzz

DLOG_QUIET=1 "$root/tools/build.sh" fuzz "fuzz_$name"
program=$(find "$build" -type f -name "fuzz_$name" -perm -u+x | head -1)
grown=$root/.cache/fuzz/$name
seeds=$root/src/${name%%_*}/testdata/fuzz/${name#*_}
mkdir -p "$grown" "$build/crashes"
corpus=("$grown")
[ -d "$seeds" ] && corpus+=("$seeds")
exec "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$build/crashes/$name-" "${corpus[@]}"
