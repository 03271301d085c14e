#!/usr/bin/env bash
# Starts the server with the small trained model on a free port, has it draw prompts in eight languages and one picture
# of each other task, and says where the pictures are.
# Usage: scripts/demo.sh BUILD_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
out=demo_output
rm -rf "$out"
mkdir -p "$out"
log=$out/server.log
: >"$log"

"$build/server/kandinsky-server" --set model.name=shapes --set model.path=models/shapes --set model.threads=1 \
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

prompts=(
  "a red circle left of a blue square"
  "ein großer grüner Stern in der Mitte auf schwarzem Hintergrund"
  "un triangle jaune en haut à droite"
  "una cruz naranja abajo a la izquierda, sobre fondo blanco"
  "un anello rosa sopra un quadrato viola"
  "een klein turquoise vierkant in het midden"
  "жёлтая звезда справа от красного креста"
  "红色圆形在蓝色正方形的左边"
)
pictures=()
# Runs the client with the given arguments; `$1` describes the picture.
draw() {
  local picture=$out/$((${#pictures[@]} + 1)).png
  "$build/clients/cpp/kandinsky" "${@:2}" --server "127.0.0.1:$port" --output "$picture" >/dev/null 2>>"$log"
  pictures+=("$picture")
  echo "${#pictures[@]}. $1"
}
for prompt in "${prompts[@]}"; do draw "$prompt" generate "$prompt" --seed 5; done

# The other tasks, with the other networks of the same model.
images=docs/images/tasks
yellow="a large yellow circle left of a large blue square on white"
star="a large red circle left of a large green star on white"
draw "edited: $yellow" edit "$yellow" --image "$images/text_to_image.png" --strength 0.7 --seed 3
draw "inpainted: $star" inpaint "$star" --image "$images/text_to_image.png" --mask "$images/mask.png" \
  --paste-back --feather 4 --seed 3
draw "mixed: half a red, half a yellow circle" generate --mix-text "a large red circle in the center" --mix-weight 0.5 \
  --mix-text "a large yellow circle in the center" --mix-weight 0.5 --seed 3
draw "following a depth map: a purple ring" control "a purple ring" --depth "$images/depth.png" --seed 3
"$build/tools/kandinsky-contact-sheet" "$out/contact_sheet.png" --columns 4 --tile 192 "${pictures[@]}"
echo "pictures of 64 x 64 pixels, by the small model in models/shapes; all together, enlarged:"
echo "image: $PWD/$out/contact_sheet.png"
