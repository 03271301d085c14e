#!/usr/bin/env bash
# Compares the full-size U-Net and image encoder with double precision. Needs 11 GB of memory, 6 GB in the folder for
# temporary files and some minutes.
#
# Usage: tests/parity/run_full_size.sh [BUILD_DIR]    (default build/release)
# KANDINSKY_PARITY_SEED chooses the weights (default 31337).
set -euo pipefail
cd "$(dirname "$0")/../.."

build=${1:-build/release}
cache=${KANDINSKY_CACHE:-$HOME/.cache/kandinsky-server}
export PYTHONDONTWRITEBYTECODE=1

scripts/install_parity_environment.sh

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for network in encode unet; do
  echo "full-size precision: $network"
  "$cache/parity-venv/bin/python" tests/parity/full_size_precision.py "$folder/$network" --only "$network" \
    --seed "${KANDINSKY_PARITY_SEED:-31337}"
  # Not through ctest, whose limit of time is for smaller tests.
  KANDINSKY_FULL_SIZE_DIR=$folder/$network "$build/tests/pipeline/models/models_golden_test" \
    --gtest_filter='FullSizePrecisionTest.*' | tee "$folder/log"
  grep -q "^$network: .* times the distance of diffusers" "$folder/log"
  rm -rf "${folder:?}/$network"
done
