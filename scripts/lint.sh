#!/usr/bin/env bash
# Formatting of every C++ file, then clang-tidy on the sources that changed since the given revision (all without one).
# Usage: scripts/lint.sh BUILD_DIR [JOBS [REVISION]]
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
jobs=${2:-2}
revision=${3:-}

scripts/install_packages.sh clang-format-16 clang-tidy-16
git ls-files '*.h' '*.cc' | xargs clang-format-16 --dry-run --Werror
if [ -n "$revision" ]; then
  mapfile -t sources < <(git diff --name-only --diff-filter=d "$revision" -- '*.cc' ':!tests' ':!pipeline/torch_pch.cc')
else
  mapfile -t sources < <(git ls-files '*.cc' ':!tests' ':!pipeline/torch_pch.cc')
fi
((${#sources[@]})) || exit 0
# clang cannot read gcc's precompiled header: the flags that name it are dropped.
database=$(mktemp -d)
trap 'rm -rf "$database"' EXIT
sed -E 's/-Winvalid-pch//g; s/-include [^ ]*cmake_pch\.hxx//g' "$build/compile_commands.json" >"$database/compile_commands.json"
printf '%s\n' "${sources[@]}" | xargs -P "$jobs" -n 4 clang-tidy-16 -p "$database" --quiet
