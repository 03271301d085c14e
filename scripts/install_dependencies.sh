#!/usr/bin/env bash
# Installs what the build needs on Debian 12: distribution packages, libtorch (from the PyPI wheel, no CUDA needed) and
# Google's API protos. Re-runnable: a second run finds its stamp and does nothing.
# Usage: scripts/install_dependencies.sh [programs]    (programs: without what only the tests need)
set -euo pipefail
cd "$(dirname "$0")/.."
group=${1:-everything}
case $group in
  programs | everything) ;;
  *) echo "unknown group of dependencies: $group" >&2; exit 2 ;;
esac

cache=${KANDINSKY_CACHE:-$HOME/.cache/kandinsky-server}
mkdir -p "$cache"

packages=(
  g++ cmake ninja-build ccache pkg-config ca-certificates python3 python3-pip
  libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libabsl-dev
  libspdlog-dev prometheus-cpp-dev libmicrohttpd-dev nlohmann-json3-dev libcli11-dev
  libpng-dev libjpeg-dev libwebp-dev libdeflate-dev libicu-dev libcsv-dev libjemalloc-dev
)
if [ "$group" = everything ]; then packages+=(libgtest-dev libgmock-dev); fi
scripts/install_packages.sh "${packages[@]}"

/usr/bin/python3 scripts/fetch_wheels.py "$cache"
