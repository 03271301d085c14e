#!/usr/bin/env python3
"""Starts the built server on tiny models and compares its answers with what diffusers made of the same requests.

Usage: live_parity.py --server BINARY --golden-dir DIR

DIR is a folder of make_goldens.py (models, pipelines.json, pipelines.safetensors). Every case is asked for alone, as
latents over Generate and as PNG over GenerateImages, and then all cases of a model are asked for at the same time, when
they share batches. Prints a line per case and ends with an exit code other than 0 when one fails.
"""

import argparse
import concurrent.futures
import io
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import threading

import grpc
import grpc_tools
import grpc_tools.protoc
import numpy
from PIL import Image
from safetensors.numpy import load_file

LATENT_TOLERANCE = 1e-4  # relative L2 against diffusers; two correct implementations differ by up to 5e-5
MIN_PSNR = 50.0  # dB, of the decoded PNG against diffusers' picture
BATCH_TOLERANCE = 1e-5  # relative L2 between a request alone and among others
TIMEOUT_SECONDS = 120
SAMPLERS = {"default": "SAMPLER_UNSPECIFIED", "ddim": "SAMPLER_DDIM"}


def generate_stubs(proto: pathlib.Path, output: str):
    """Compiles the project's interface for Python; returns its messages and its stubs."""
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    files = [str(path.relative_to(proto)) for path in sorted(proto.rglob("image_generation.proto"))]
    code = grpc_tools.protoc.main(["protoc", f"-I{proto}", f"-I{well_known}", f"--python_out={output}",
                                   f"--grpc_python_out={output}", *files])
    if code != 0 or not files:
        raise SystemExit(f"no interface could be generated from {proto}")
    sys.path.insert(0, output)
    from kandinsky.v1 import image_generation_pb2, image_generation_pb2_grpc
    return image_generation_pb2, image_generation_pb2_grpc


class Server:
    """The server process; `port` is known once it is ready."""

    def __init__(self, binary: pathlib.Path, model: pathlib.Path) -> None:
        settings = {"listen_address": "127.0.0.1:0", "metrics_address": "127.0.0.1:0", "model.path": model / "decoder",
                    "model.prior_path": model / "prior", "drain.lame_duck_seconds": 0}
        command = [str(binary)]
        for path, value in settings.items():
            command += ["--set", f"{path}={value}"]
        self._log = []
        self._ready = threading.Event()
        self.port = 0
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        if not self._ready.wait(TIMEOUT_SECONDS) or self.port == 0:
            self._process.kill()
            raise SystemExit("the server did not become ready:\n" + "".join(self._log))

    def _read_log(self) -> None:
        for line in self._process.stderr:
            self._log.append(line)
            if not self._ready.is_set() and line.startswith("{"):
                entry = json.loads(line)
                if entry["msg"] == "ready":
                    self.port = entry["port"]
                    self._ready.set()
        self._ready.set()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *exception: object) -> None:
        """Stops it as an operator would; a server that does not end cleanly is an error too."""
        self._process.terminate()
        try:
            code = self._process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise SystemExit("the server did not stop:\n" + "".join(self._log[-20:])) from None
        if code != 0:
            raise SystemExit(f"the server ended with {code}:\n" + "".join(self._log[-20:]))


class Client:
    """Asks for one case; the answers are arrays with a row per image."""

    def __init__(self, messages, stub) -> None:
        self._messages = messages
        self._stub = stub
        self.max_batch_rows = 0

    def _request(self, case: dict, output_format: str):
        wanted = dict(case["request"])
        wanted["sampler"] = getattr(self._messages, SAMPLERS[wanted["sampler"]])
        if wanted["negative_prompt"] is None:
            del wanted["negative_prompt"]
        message = self._messages.GenerateRequest(**wanted)
        message.output.format = getattr(self._messages, output_format)
        return message

    def latents(self, case: dict) -> numpy.ndarray:
        """Over the stream."""
        images, completed = [], False
        for event in self._stub.Generate(self._request(case, "OUTPUT_FORMAT_LATENT"), timeout=TIMEOUT_SECONDS):
            if event.WhichOneof("event") == "image":
                images.append(event.image)
            elif event.WhichOneof("event") == "completed":
                completed = True
                self._check(case, images, event.completed)
        if not completed:
            raise ValueError("no completed event")
        images.sort(key=lambda image: image.index)
        tensors = [image.latents for image in images]
        return numpy.stack([numpy.frombuffer(tensor.data, "<f4").reshape(tensor.shape) for tensor in tensors])

    def pictures(self, case: dict) -> numpy.ndarray:
        """As one answer."""
        reply = self._stub.GenerateImages(self._request(case, "OUTPUT_FORMAT_PNG"), timeout=TIMEOUT_SECONDS)
        self._check(case, reply.images, reply.summary)
        return numpy.stack([numpy.asarray(Image.open(io.BytesIO(image.data))) for image in reply.images])

    def _check(self, case: dict, images, summary) -> None:
        seeds = case["request"]["seeds"]
        reported = [image.seed for image in sorted(images, key=lambda image: image.index)]
        if reported != seeds or list(summary.seeds) != seeds:
            raise ValueError(f"images of the seeds {reported}, asked for {seeds}")
        self.max_batch_rows = max(self.max_batch_rows, summary.batch.max_rows)


def relative_l2(actual: numpy.ndarray, expected: numpy.ndarray) -> float:
    """Of the worst row; infinite when the shapes differ."""
    if actual.shape != expected.shape:
        return math.inf
    rows = zip(actual.astype(float), expected.astype(float))
    return max(numpy.linalg.norm(a - b) / numpy.linalg.norm(b) for a, b in rows)


def peak_signal_to_noise(actual: numpy.ndarray, expected: numpy.ndarray) -> float:
    """In dB, of the worst row; infinite for equal pictures."""
    if actual.shape != expected.shape:
        return -math.inf
    errors = ((actual.astype(float) - expected.astype(float)) ** 2).mean(axis=(1, 2, 3))
    return math.inf if errors.max() == 0 else 10 * math.log10(255**2 / errors.max())


class Outcome:
    """Figures and verdict of one case."""

    def __init__(self, case: dict) -> None:
        self.case = case
        self.latents_error = self.batch_error = math.inf
        self.psnr = self.batch_psnr = -math.inf
        self.error = ""

    def passed(self) -> bool:
        return (not self.error and self.latents_error <= LATENT_TOLERANCE and self.psnr >= MIN_PSNR and
                self.batch_error <= BATCH_TOLERANCE and self.batch_psnr >= MIN_PSNR)

    def line(self) -> str:
        request = self.case["request"]
        size = f"{request['width']}x{request['height']}"
        return (f"{self.case['name']:28} {self.case['model']:5} {size:>7} {len(request['seeds']):>6} "
                f"{self.latents_error:>10.1e} {self.psnr:>8.1f} {self.batch_error:>12.1e} {self.batch_psnr:>12.1f}  "
                f"{'ok' if self.passed() else 'FAILED ' + self.error}")


HEADER = (f"{'case':28} {'model':5} {'size':>7} {'images':>6} {'latents L2':>10} {'PNG dB':>8} {'together L2':>12} "
          f"{'together dB':>12}")


def describe(error: Exception) -> str:
    return f"{error.code().name}: {error.details()}" if isinstance(error, grpc.RpcError) else str(error)


def compare_alone(client: Client, outcome: Outcome, expected: dict[str, numpy.ndarray]) -> dict[str, numpy.ndarray]:
    """Asks for the case with nothing else running."""
    name = outcome.case["name"]
    try:
        latents, pictures = client.latents(outcome.case), client.pictures(outcome.case)
    except (grpc.RpcError, ValueError) as error:
        outcome.error = describe(error)
        return {}
    outcome.latents_error = relative_l2(latents, expected[f"{name}.latents"])
    outcome.psnr = peak_signal_to_noise(pictures, expected[f"{name}.image"])
    return {"latents": latents, "pictures": pictures}


def compare_together(client: Client, outcomes: list[Outcome], alone: list[dict[str, numpy.ndarray]]) -> None:
    """Asks for all cases at once, in both formats."""
    with concurrent.futures.ThreadPoolExecutor(2 * len(outcomes)) as pool:
        latents = [pool.submit(client.latents, outcome.case) for outcome in outcomes]
        pictures = [pool.submit(client.pictures, outcome.case) for outcome in outcomes]
    for outcome, before, latent, picture in zip(outcomes, alone, latents, pictures):
        try:
            if before:
                outcome.batch_error = relative_l2(latent.result(), before["latents"])
                outcome.batch_psnr = peak_signal_to_noise(picture.result(), before["pictures"])
        except (grpc.RpcError, ValueError) as error:
            outcome.error = outcome.error or "together: " + describe(error)


def compare_model(server: Server, interface, cases: list[dict], expected: dict[str, numpy.ndarray]) -> list[Outcome]:
    messages, stubs = interface
    outcomes = [Outcome(case) for case in cases]
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        client = Client(messages, stubs.ImageGenerationServiceStub(channel))
        alone = [compare_alone(client, outcome, expected) for outcome in outcomes]
        together = Client(messages, stubs.ImageGenerationServiceStub(channel))
        compare_together(together, outcomes, alone)
    if together.max_batch_rows < 2:
        outcomes[0].error = outcomes[0].error or "requests sent together never shared a step"
    for outcome in outcomes:
        print(outcome.line(), flush=True)
    print(f"model {cases[0]['model']}: up to {together.max_batch_rows} images shared a step", flush=True)
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", type=pathlib.Path, required=True)
    parser.add_argument("--golden-dir", type=pathlib.Path, required=True)
    parser.add_argument("--proto", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / "proto")
    arguments = parser.parse_args()
    golden = arguments.golden_dir.resolve()
    recorded = json.loads((golden / "pipelines.json").read_text(encoding="utf-8"))
    expected = load_file(golden / "pipelines.safetensors")
    if len(recorded["cases"]) < 10:
        raise SystemExit("fewer than 10 cases")
    outcomes = []
    with tempfile.TemporaryDirectory() as generated:
        interface = generate_stubs(arguments.proto.resolve(), generated)
        print(HEADER)
        for model, folder in recorded["models"].items():
            cases = [case for case in recorded["cases"] if case["model"] == model]
            with Server(arguments.server.resolve(), golden / folder) as server:
                outcomes += compare_model(server, interface, cases, expected)
    failed = sum(not outcome.passed() for outcome in outcomes)
    print(f"limits: latents L2 {LATENT_TOLERANCE:.0e}, PNG {MIN_PSNR:.0f} dB, together L2 {BATCH_TOLERANCE:.0e}")
    print(f"{len(outcomes) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
