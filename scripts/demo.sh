#!/usr/bin/env bash
# Writes the embedded model, starts the server on a free port, makes one picture and says where it is.
# Usage: scripts/demo.sh BUILD_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
out=demo_output
mkdir -p "$out"
log=$out/server.log

rm -rf "$out/model" "$out/image.png"
: >"$log"  # before the server starts: a line of an earlier run must not be taken for its own
"$build/tools/kandinsky-make-tiny-model" "$out/model" --seed 7 >/dev/null
"$build/server/kandinsky-server" --set model.name=tiny --set "model.path=$out/model" \
  --set listen_address=127.0.0.1:0 --set metrics_address=127.0.0.1:0 --set log.format=LOG_FORMAT_JSON \
  --set drain.lame_duck_seconds=0 2>>"$log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT

port=
for _ in $(seq 300); do
  port=$(sed -n 's/.*"msg":"ready","port":\([0-9]*\).*/\1/p' "$log")
  if [ -n "$port" ] || ! kill -0 "$server" 2>/dev/null; then break; fi
  sleep 0.1
done
if [ -z "$port" ]; then
  cat "$log" >&2
  echo "the server did not start" >&2
  exit 1
fi

"$build/clients/cpp/kandinsky" generate "a red circle left of a blue square" --server "127.0.0.1:$port" \
  --width 256 --height 256 --steps 25 --prior-steps 10 --seed 5 --output "$out/image.png"
echo "The embedded model is tiny and untrained: expect colours, not circles."
echo "image: $PWD/$out/image.png"
