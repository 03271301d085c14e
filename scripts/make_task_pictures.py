#!/usr/bin/env python3
"""Makes the pictures of docs/tasks.md with the built programs and the models in models/shapes, by the commands printed
there.

Usage: scripts/make_task_pictures.py BUILD_DIR [OUTPUT_DIR]    (default docs/images/tasks)

Needs nothing but Python's standard library. The commands are those of docs/tasks.md, with the files' folders added.
"""

import json
import pathlib
import shlex
import struct
import subprocess
import sys
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
EDGE = 64  # pixels, of every picture
# The commands of docs/tasks.md.
COMMANDS = """
generate a large red circle left of a large blue square on white --seed 3 -o text_to_image.png
edit a large yellow circle left of a large blue square on white --image text_to_image.png --strength 0.7 --seed 3 -o image_to_image.png
inpaint a large red circle left of a large green star on white --image text_to_image.png --mask mask.png --paste-back --feather 4 --seed 3 -o inpaint.png
inpaint a large red circle left of a large green star on white --image text_to_image.png --mask soft_mask.png --soft-mask --seed 3 -o inpaint_soft.png
generate --mix-text "a large red circle in the center" --mix-weight 0.5 --mix-text "a large yellow circle in the center" --mix-weight 0.5 --seed 3 -o mix.png
edit --mix-text "a large yellow circle left of a large blue square on white" --mix-weight 0.5 --mix-text "a large red circle left of a large blue square on white" --mix-weight 0.5 --image text_to_image.png --strength 0.7 --seed 3 -o mix_image_to_image.png
control a purple ring --depth depth.png --seed 3 -o control_net.png
embed prompt a large red circle left of a large blue square on white --seed 3 -o embedding.json
generate --image-embedding embedding.json --negative-image-embedding embedding.json --seed 9 -o from_embedding.png
generate a large turquoise cross left of a large blue square on white --prior-image text_to_image.png --prior-strength 0.6 --seed 3 -o prior_start.png
"""


def write_grey_png(path: pathlib.Path, value) -> None:
    """An 8-bit gray PNG of EDGE x EDGE pixels; value(x, y) in 0..1 for coordinates in -1..1."""
    at = [2 * (i + 0.5) / EDGE - 1 for i in range(EDGE)]
    rows = b"".join(b"\0" + bytes(round(255 * min(1, max(0, value(x, y)))) for x in at) for y in at)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", EDGE, EDGE, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) +
                     chunk(b"IEND", b""))


def write_inputs(folder: pathlib.Path) -> None:
    write_grey_png(folder / "mask.png", lambda x, y: x > 0)
    write_grey_png(folder / "soft_mask.png", lambda x, y: 0.5 + 4 * x)
    write_grey_png(folder / "depth.png", lambda x, y: 0.88 if 0.2 < (x * x + y * y) ** 0.5 < 0.4 else 0.16)


class Server:
    """A server with all networks of the shapes model; `address` is known once it is ready."""

    def __init__(self, build: pathlib.Path) -> None:
        settings = {"model.name": "shapes", "model.path": ROOT / "models/shapes", "model.threads": 1,
                    "listen_address": "127.0.0.1:0", "metrics_address": "127.0.0.1:0", "drain.lame_duck_seconds": 0}
        command = [build / "server" / "kandinsky-server"]
        for path, value in settings.items():
            command += ["--set", f"{path}={value}"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in self._process.stderr:
            entry = json.loads(line) if line.startswith("{") else {}
            if entry.get("msg") == "ready":
                self.address = f"127.0.0.1:{entry['port']}"
                return
        raise SystemExit("the server did not start")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def main() -> None:
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    build = pathlib.Path(sys.argv[1]).resolve()
    output = pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else ROOT / "docs/images/tasks")
    output.mkdir(parents=True, exist_ok=True)
    write_inputs(output)
    server = Server(build)
    try:
        for command in COMMANDS.strip().splitlines():
            print(command, flush=True)
            subprocess.run([build / "clients/cpp/kandinsky", *shlex.split(command), "--server", server.address],
                           cwd=output, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finally:
        server.stop()
        (output / "embedding.json").unlink(missing_ok=True)  # only a step between two commands


if __name__ == "__main__":
    main()
