#!/usr/bin/env bash
# Formatting of every C++ file, then clang-tidy on the sources that changed since the given revision (all without one).
# Usage: scripts/lint.sh BUILD_DIR [REVISION]
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
revision=${2:-}

for tool in clang-format-16 clang-tidy-16; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install $tool" >&2; exit 1; }
done
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
printf '%s\n' "${sources[@]}" | xargs -P 2 -n 4 clang-tidy-16 -p "$database" --quiet
