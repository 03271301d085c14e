#!/usr/bin/env bash
# Compares the built programs with diffusers, on models made now with other weights than the recorded ones.
#
# Usage: tests/parity/run.sh [BUILD_DIR]    (default build/release)
# KANDINSKY_PARITY_SEED chooses the weights (default 31337).
set -euo pipefail
cd "$(dirname "$0")/../.."

build=${1:-build/release}
cache=${KANDINSKY_CACHE:-$HOME/.cache/kandinsky-server}
python=$cache/parity-venv/bin/python
export PYTHONDONTWRITEBYTECODE=1

scripts/install_parity_environment.sh

goldens=$(mktemp -d)
trap 'rm -rf "$goldens"' EXIT
echo "making reference results"
if ! "$python" tests/parity/make_goldens.py "$goldens" --live --seed "${KANDINSKY_PARITY_SEED:-31337}" \
  2>"$goldens/log"; then
  cat "$goldens/log" >&2
  exit 1
fi

"$python" tests/parity/make_training_goldens.py "$goldens/training" --live --seed "${KANDINSKY_PARITY_SEED:-31337}" 2>>"$goldens/log" ||
  { cat "$goldens/log" >&2; exit 1; }

"$python" tests/parity/make_precision_cases.py "$goldens" --seed "${KANDINSKY_PARITY_SEED:-31337}" 2>>"$goldens/log" ||
  { cat "$goldens/log" >&2; exit 1; }

echo "components, precision, samplers, tokenizer, pipeline and training steps"
listed=$(ctest --test-dir "$build" -N -R Golden)
for suite in ClipTokenizerGoldenTest GoldenComponentsTest GoldenPrecisionTest GoldenSamplersTest GoldenPipelineTest GoldenTasksTest \
  GoldenTrainingTest; do
  if ! grep -q "$suite" <<<"$listed"; then
    echo "$build has no $suite; build it completely first" >&2
    exit 1
  fi
done
KANDINSKY_GOLDEN_DIR=$goldens ctest --test-dir "$build" -R Golden --no-tests=error --output-on-failure

echo "trained models"
"$python" tests/parity/trained_model_parity.py --train "$build/training/kandinsky-train" \
  --make-tiny-model "$build/tools/kandinsky-make-tiny-model" 2>"$goldens/log" || { cat "$goldens/log" >&2; exit 1; }

echo "faults of the reference"
"$python" tests/parity/reference_faults.py --golden-dir "$goldens" 2>"$goldens/log" || { cat "$goldens/log" >&2; exit 1; }

echo "live server"
"$python" tests/parity/live_parity.py --server "$build/server/kandinsky-server" --golden-dir "$goldens"

echo "adapters that requests choose"
"$python" tests/parity/adapter_parity.py --server "$build/server/kandinsky-server" \
  --train "$build/training/kandinsky-train" --golden-dir "$goldens" 2>"$goldens/log" ||
  { cat "$goldens/log" >&2; exit 1; }

echo "model files as they are found"
"$python" tests/parity/model_files_parity.py --server "$build/server/kandinsky-server" --golden-dir "$goldens" \
  2>"$goldens/log" || { cat "$goldens/log" >&2; exit 1; }

echo "pictures of the trained models in models/shapes"
"$python" tools/shapes_pack/judge.py --count 200 >"$goldens/log" || { cat "$goldens/log" >&2; exit 1; }
"$python" tools/shapes_pack/judge_model.py "$build" models/shapes "$goldens/judged" --require
