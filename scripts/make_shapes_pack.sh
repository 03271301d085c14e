#!/usr/bin/env bash
# Trains the models in models/shapes anew, from nothing. An interrupted run goes on where it stopped.
# Usage: scripts/make_shapes_pack.sh BUILD_DIR [WORK_DIR]    (default BUILD_DIR/shapes-pack)
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
work=${2:-$build/shapes-pack}
scripts/install_parity_environment.sh
python=${KANDINSKY_CACHE:-$HOME/.cache/kandinsky-server}/parity-venv/bin/python
export PYTHONDONTWRITEBYTECODE=1
"$python" tools/shapes_pack/make_pack.py "$work" --train "$build/training/kandinsky-train" --install models/shapes
"$python" tools/shapes_pack/judge_model.py "$build" models/shapes "$work/judged" --require
