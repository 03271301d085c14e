#!/usr/bin/env bash
# Prints the benchmark table: ours and the peer in the same run, as a ratio. Needs about 17 GiB of memory, 7 GB of disk, and installs
# the pinned Python environment of the parity tests for the peer.
# Usage: scripts/bench.sh BUILD_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
scripts/install_parity_environment.sh
scripts/install_packages.sh valgrind  # counts the scheduler's instructions
python=${KANDINSKY_CACHE:-$HOME/.cache/kandinsky-server}/parity-venv/bin/python
"$python" benchmarks/table.py --build "$build" --python "$python"
"$build/benchmarks/scheduler_simulation/scheduler_simulation" --plot "$build/latency.svg" --large
