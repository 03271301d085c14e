#!/usr/bin/env bash
# Installs everything the build and the C++ tests need on Debian 12: distribution packages, libtorch (from the PyPI
# wheel, no CUDA needed) and Google's API protos. Re-runnable: a second run finds its stamp and does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${KANDINSKY_CACHE:-$HOME/.cache/kandinsky-server}
mkdir -p "$cache"

packages=(
  g++ cmake ninja-build ccache pkg-config ca-certificates python3 python3-pip python3-venv
  libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libabsl-dev
  libspdlog-dev prometheus-cpp-dev nlohmann-json3-dev libcli11-dev
  libpng-dev libjpeg-dev libwebp-dev libdeflate-dev libicu-dev libjemalloc-dev
  libgtest-dev libgmock-dev libbenchmark-dev
)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
  echo "installing ${#missing[@]} Debian packages: ${missing[*]}"
  run=()
  if [ "$(id -u)" -ne 0 ]; then run=(sudo); fi
  log=$(mktemp)
  if ! { "${run[@]}" apt-get update -qq &&
         "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
       >"$log" 2>&1; then
    cat "$log" >&2
    echo "apt-get failed" >&2
    exit 1
  fi
  rm -f "$log"
fi

/usr/bin/python3 scripts/fetch_wheels.py "$cache"
