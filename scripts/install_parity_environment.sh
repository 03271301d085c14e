#!/usr/bin/env bash
# Makes the Python environment of the parity tests (PyTorch and diffusers at the pinned versions) in the cache folder.
# Prints nothing but what it waits for. Re-runnable: a second run finds its stamp and does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${KANDINSKY_CACHE:-$HOME/.cache/kandinsky-server}
venv=$cache/parity-venv
requirements=tests/parity/requirements.txt
expected=$(cat "$requirements" tests/parity/make_cuda_stubs.py | sha256sum)
if [ "$(cat "$venv/complete" 2>/dev/null)" = "$expected" ]; then
  exit 0
fi

if ! /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
  echo "the parity environment needs /usr/bin/python3 to be Python 3.11 (Debian 12)" >&2
  exit 1
fi
scripts/install_packages.sh python3-venv gcc libc6-dev binutils
log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() {
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    echo "failed: $*" >&2
    exit 1
  fi
}

echo "installing the Python reference (about 650 MB to download)"
mkdir -p "$cache"
rm -rf "$venv"
quietly /usr/bin/python3 -m venv "$venv"
# Only the index counts: folders of wheels that the machine's settings may name are not looked at.
quietly env -u PIP_FIND_LINKS -u PIP_NO_INDEX "$venv/bin/pip" install --disable-pip-version-check --no-input \
  --no-cache-dir --no-deps --only-binary=:all: --require-hashes -r "$requirements"
quietly "$venv/bin/python" tests/parity/make_cuda_stubs.py "$venv/lib/python3.11/site-packages"
quietly "$venv/bin/python" -c 'import torch, diffusers, transformers, grpc_tools; torch.randn(4)'
echo "$expected" >"$venv/complete"
