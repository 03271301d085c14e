#!/usr/bin/env bash
# Configures and builds one CMake preset; quiet unless something fails.
# Usage: scripts/build.sh PRESET [JOBS]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
jobs=${2:-2}

if [ "$preset" = clang ]; then scripts/install_packages.sh clang-16; fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cmake --preset "$preset" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
cmake --build --preset "$preset" -j "$jobs"
