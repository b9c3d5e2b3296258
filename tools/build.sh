#!/usr/bin/env bash
# build.sh PRESET [TARGET...]: configures build/PRESET when needed and builds the targets (default: all of them).
# DLOG_BUILD names another folder than ./build. With DLOG_QUIET=1 only warnings and errors are printed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
preset=${1:?usage: build.sh PRESET [TARGET...]}
shift
dir=${DLOG_BUILD:-$root/build}/$preset

# Two clones of the tree share the compiler's cache: paths below the root are made relative, and not part of the hash.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime

if [ ! -e "$dir/build.ninja" ] || [ "$root/CMakePresets.json" -nt "$dir/build.ninja" ]; then
    (cd "$root" && cmake --preset "$preset" -B "$dir" >"/tmp/dlog-configure.$$" 2>&1) ||
        { cat "/tmp/dlog-configure.$$" >&2; rm -f "/tmp/dlog-configure.$$"; exit 1; }
    rm -f "/tmp/dlog-configure.$$"
fi
if [ "${DLOG_QUIET:-0}" = 1 ]; then
    ninja -C "$dir" --quiet "$@" >&2
else
    ninja -C "$dir" "$@" >&2
fi
