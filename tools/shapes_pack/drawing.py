"""Asks servers for the pictures of cases: starts one for each network of a folder of shapes models."""

import concurrent.futures
import io
import pathlib
import sys
import tempfile
from collections.abc import Iterator

import grpc
import numpy
from PIL import Image

import scenes
import task_scenes
from generation_defaults import DEFAULTS

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "parity"))
import wire  # noqa: E402
from server_process import Server  # noqa: E402

NETWORK_FOLDERS = {"decoder": ".", "inpaint": "inpaint", "depth": "depth"}
PARALLEL_REQUESTS = 16
TIMEOUT_SECONDS = 280  # below the longest deadline of the server
SETTINGS = {"width": scenes.SIZE, "height": scenes.SIZE} | DEFAULTS


def network_of(case: dict) -> str:
    """Of NETWORK_FOLDERS."""
    return {"inpaint": "inpaint", "control_net": "depth"}.get(task_scenes.kind_of(case), "decoder")


def png(picture: numpy.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG")
    return data.getvalue()


class Client:
    """Draws cases. Thread-safe."""

    def __init__(self, port: int, interface, settings: dict) -> None:
        self._messages = interface.image
        self._stub = interface.image_stubs.ImageGenerationServiceStub(grpc.insecure_channel(f"127.0.0.1:{port}"))
        self._settings = settings

    def draw(self, case: dict, inputs: dict[str, numpy.ndarray]) -> list[numpy.ndarray]:
        """One picture, of a mix one for each weight: uint8 [64, 64, 3]."""
        return [self._send(request) for request in self._requests(case, inputs)]

    def _requests(self, case: dict, inputs: dict[str, numpy.ndarray]) -> Iterator:
        request = self._messages.GenerateRequest(prompt=case["prompt"], seed=case["seed"], **self._settings)
        request.output.format = self._messages.OUTPUT_FORMAT_PNG
        if case.get("negative_prompt") is not None:
            request.negative_prompt = case["negative_prompt"]
        task = case.get("task", {})
        if task_scenes.kind_of(case) == "mix":
            first, second = task["texts"]
            for weight in task["weights"]:
                parts = [self._messages.MixPart(text=first, weight=1 - weight),
                         self._messages.MixPart(text=second, weight=weight)]
                request.mix.CopyFrom(self._messages.Mix(parts=parts))
                yield request
            return
        if task:
            fields = {key: png(inputs[task[key]]) for key in ("image", "mask", "depth_image") if key in task}
            fields |= {key: task[key] for key in ("strength",) if key in task}
            message = getattr(request, task["kind"])
            message.SetInParent()
            for key, value in fields.items():
                setattr(message, key, value)
        yield request

    def _send(self, request) -> numpy.ndarray:
        image = self._stub.GenerateImages(request, timeout=TIMEOUT_SECONDS).images[0]
        return numpy.asarray(Image.open(io.BytesIO(image.data)).convert("RGB"))


def draw_all(build: pathlib.Path, models: pathlib.Path, cases: list[tuple[dict, dict[str, numpy.ndarray]]],
             settings: dict) -> list[list[numpy.ndarray]]:
    """The pictures of each case."""
    pictures: list[list[numpy.ndarray]] = [[] for _ in cases]
    with tempfile.TemporaryDirectory() as generated:
        interface = wire.load_interface(ROOT / "proto", generated)
        for network, folder in NETWORK_FOLDERS.items():
            mine = [i for i, (case, _) in enumerate(cases) if network_of(case) == network]
            if not mine:
                continue
            # Networks this small lose more than they gain by sharing their layers out to threads.
            with Server(build / "server" / "kandinsky-server", models / folder, threads=1) as server:
                client = Client(server.port, interface, SETTINGS | settings)
                with concurrent.futures.ThreadPoolExecutor(PARALLEL_REQUESTS) as pool:
                    for i, drawn in zip(mine, pool.map(lambda i: client.draw(*cases[i]), mine)):
                        pictures[i] = drawn
            print(f"{network}: {sum(len(pictures[i]) for i in mine)} pictures", flush=True)
    return pictures
