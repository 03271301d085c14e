#!/usr/bin/env bash
# Configures and builds one CMake preset; quiet unless something fails.
# Usage: scripts/build.sh PRESET [JOBS [TARGET...]]
# With targets, only these are built, and a new build folder is configured without tests and benchmarks, so that it
# needs none of their packages; a folder that is there keeps what it was configured with.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
jobs=${2:-2}
targets=("${@:3}")

if [ "$preset" = clang ]; then scripts/install_packages.sh clang-16; fi
configure=(cmake --preset "$preset")
build=(cmake --build --preset "$preset" -j "$jobs")
if ((${#targets[@]})); then
  if [ -f "build/$preset/CMakeCache.txt" ]; then
    configure=(cmake "build/$preset")
  else
    configure+=(-DKANDINSKY_TESTS=OFF -DKANDINSKY_BENCHMARKS=OFF)
  fi
  build+=(--target "${targets[@]}")
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"${configure[@]}" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
"${build[@]}"
