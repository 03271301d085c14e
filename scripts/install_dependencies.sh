#!/usr/bin/env bash
# Installs everything the build and the C++ tests need on Debian 12: distribution packages, libtorch (from the PyPI
# wheel, no CUDA needed) and Google's API protos. Re-runnable: a second run finds its stamp and does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${KANDINSKY_CACHE:-$HOME/.cache/kandinsky-server}
mkdir -p "$cache"

scripts/install_packages.sh \
  g++ cmake ninja-build ccache pkg-config ca-certificates python3 python3-pip python3-venv \
  libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libabsl-dev \
  libspdlog-dev prometheus-cpp-dev libmicrohttpd-dev nlohmann-json3-dev libcli11-dev \
  libpng-dev libjpeg-dev libwebp-dev libdeflate-dev libicu-dev libcsv-dev libjemalloc-dev \
  libgtest-dev libgmock-dev libbenchmark-dev

/usr/bin/python3 scripts/fetch_wheels.py "$cache"
