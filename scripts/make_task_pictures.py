#!/usr/bin/env python3
"""Makes the pictures of docs/tasks.md with the built programs and the embedded models, by the commands printed there.

Usage: scripts/make_task_pictures.py BUILD_DIR [OUTPUT_DIR]    (default docs/images/tasks)

Needs nothing but Python's standard library. The commands are those of docs/tasks.md, with the files' folders added.
"""

import json
import pathlib
import shlex
import struct
import subprocess
import sys
import tempfile
import zlib

EDGE = 256  # pixels, of every picture
# Before each command of docs/tasks.md stands the network of the server that it asks.
COMMANDS = """
decoder   generate a lighthouse at dusk --seed 7 -o text_to_image.png
decoder   edit a lighthouse in winter --image text_to_image.png --strength 0.4 --seed 7 -o image_to_image.png
inpaint   inpaint a sailing boat --image text_to_image.png --mask mask.png --paste-back --feather 8 --seed 7 -o inpaint.png
inpaint   inpaint a sailing boat --image text_to_image.png --mask soft_mask.png --soft-mask --seed 7 -o inpaint_soft.png
decoder   mix --text "a lighthouse" --weight 0.6 --image text_to_image.png --weight 0.4 --seed 7 -o mix.png
controlnet_depth   control a house of glass --depth depth.png --seed 7 -o control_net.png
decoder   embed prompt a lighthouse at dusk --seed 7 -o embedding.json
decoder   generate --image-embedding embedding.json --negative-image-embedding embedding.json --seed 8 -o from_embedding.png
decoder   generate a lighthouse at dusk --prior-image text_to_image.png --prior-strength 0.5 --seed 7 -o prior_start.png
"""


def write_grey_png(path: pathlib.Path, value) -> None:
    """An 8-bit grey PNG of EDGE x EDGE pixels; value(x, y) in 0..1 for coordinates in -1..1."""
    at = [2 * (i + 0.5) / EDGE - 1 for i in range(EDGE)]
    rows = b"".join(b"\0" + bytes(round(255 * min(1, max(0, value(x, y)))) for x in at) for y in at)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", EDGE, EDGE, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) +
                     chunk(b"IEND", b""))


def write_inputs(folder: pathlib.Path) -> None:
    write_grey_png(folder / "mask.png", lambda x, y: abs(x - 0.2) < 0.5 and abs(y - 0.1) < 0.4)
    write_grey_png(folder / "soft_mask.png", lambda x, y: 1.5 - 2 * (x * x + y * y) ** 0.5)
    write_grey_png(folder / "depth.png", lambda x, y: 0.9 - abs(x) if abs(x) < 0.5 and y > abs(x) - 0.6 else 0.3 * (y + 1) / 2)


class Server:
    """A server with the embedded model of one network; `address` is known once it is ready."""

    def __init__(self, build: pathlib.Path, folder: pathlib.Path, network: str) -> None:
        model = folder / network
        subprocess.run([build / "tools" / "kandinsky-make-tiny-model", model, "--seed", "7", "--network", network], check=True)
        settings = {"model.name": "tiny", "model.path": model, "listen_address": "127.0.0.1:0",
                    "metrics_address": "127.0.0.1:0", "drain.lame_duck_seconds": 0}
        command = [build / "server" / "kandinsky-server"]
        for path, value in settings.items():
            command += ["--set", f"{path}={value}"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in self._process.stderr:
            entry = json.loads(line) if line.startswith("{") else {}
            if entry.get("msg") == "ready":
                self.address = f"127.0.0.1:{entry['port']}"
                return
        raise SystemExit(f"the server of {network} did not start")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def main() -> None:
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    build = pathlib.Path(sys.argv[1]).resolve()
    output = pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else pathlib.Path(__file__).parents[1] / "docs/images/tasks")
    output.mkdir(parents=True, exist_ok=True)
    write_inputs(output)
    servers = {}
    with tempfile.TemporaryDirectory() as models:
        try:
            for line in COMMANDS.strip().splitlines():
                network, command = line.split(maxsplit=1)
                if network not in servers:
                    servers[network] = Server(build, pathlib.Path(models), network)
                arguments = shlex.split(command) + ["--server", servers[network].address]
                if not command.startswith("embed"):
                    arguments += ["--width", str(EDGE), "--height", str(EDGE), "--steps", "25"]
                print(command, flush=True)
                subprocess.run([build / "clients/cpp/kandinsky", *arguments], cwd=output, check=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        finally:
            for server in servers.values():
                server.stop()
            (output / "embedding.json").unlink(missing_ok=True)  # only a step between two commands


if __name__ == "__main__":
    main()
