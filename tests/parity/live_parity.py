#!/usr/bin/env python3
"""Starts the built server on tiny models and compares its answers with what diffusers made of the same requests.

Usage: live_parity.py --server BINARY --golden-dir DIR

DIR is a folder of make_goldens.py --live (models, pipelines.*, tasks.* and sources.*). Every case is asked for alone: a case that
makes images as latents over Generate and as PNG over GenerateImages, the others over EmbeddingService. Then all cases of
a model are asked for at the same time, when they share batches, and must give the same bits. Prints a line per case and ends with an exit code other
than 0 when one fails.
"""

import argparse
import concurrent.futures
import functools
import json
import math
import pathlib
import sys
import tempfile

import grpc
import numpy
from google.rpc import error_details_pb2, status_pb2
from safetensors.numpy import load_file

import wire
from server_process import Server

# Relative L2 against diffusers, of each row.
TOLERANCES = {"latents": 1e-4, "pixels": 1e-4, "embedding": 1e-5, "negative_embedding": 1e-5, "hidden_states": 1e-5,
              "token_ids": 0.0}
MIN_PSNR = 50.0  # dB, of the decoded PNG against diffusers' picture
PREVIEW_TRIES = 5
TIMEOUT_SECONDS = 240
IMAGE_TASKS = ("text_to_image", "image_to_image", "inpaint", "control_net")


def kind_of(case: dict) -> str:
    return case["request"].get("task", {"kind": "text_to_image"})["kind"]


# ---- asking ----------------------------------------------------------------------------------------------------------


class Client:
    """Asks for cases; the answers are arrays with a row per seed, by the names of README.md."""

    def __init__(self, interface, channel, messages: wire.Messages) -> None:
        self._interface = interface
        self._messages = messages
        self._images = interface.image_stubs.ImageGenerationServiceStub(channel)
        self._networks = interface.embedding_stubs.EmbeddingServiceStub(channel)
        self.max_batch_rows = 0

    def calls(self, case: dict) -> list:
        """The calls that make everything that is compared."""
        kind = kind_of(case)
        if kind in IMAGE_TASKS:
            return [functools.partial(self._latents, case), functools.partial(self._pictures, case)]
        if kind == "embed_text":
            return [lambda: self.embed_texts([case])[0]]
        if kind == "embed_image":
            return [lambda: self.embed_images([case])[0]]
        return [functools.partial(getattr(self, f"_{kind}"), case)]

    def _latents(self, case: dict) -> dict[str, numpy.ndarray]:
        return self.stream(self._messages.generate(case, "OUTPUT_FORMAT_LATENT"), case)[0]

    def stream(self, request, case: dict) -> tuple[dict[str, numpy.ndarray], list]:
        """The latents, and the previews that came before them."""
        images, previews, completed = [], [], False
        for event in self._images.Generate(request, timeout=TIMEOUT_SECONDS):
            kind = event.WhichOneof("event")
            if kind == "image":
                images.append(event.image)
            elif kind == "preview":
                previews.append(event.preview)
            elif kind == "completed":
                completed = True
                self._check(case, images, event.completed)
        if not completed:
            raise ValueError("no completed event")
        images.sort(key=lambda image: image.index)
        return {"latents": numpy.stack([wire.to_array(image.latents) for image in images])}, previews

    def _pictures(self, case: dict) -> dict[str, numpy.ndarray]:
        request = self._messages.generate(case, "OUTPUT_FORMAT_PNG")
        reply = self._images.GenerateImages(request, timeout=TIMEOUT_SECONDS)
        self._check(case, reply.images, reply.summary)
        return {"image": numpy.stack([wire.to_picture(image.data) for image in reply.images])}

    def _check(self, case: dict, images, summary) -> None:
        seeds = case["request"]["seeds"]
        reported = [image.seed for image in sorted(images, key=lambda image: image.index)]
        if reported != seeds or list(summary.seeds) != seeds:
            raise ValueError(f"images of the seeds {reported}, asked for {seeds}")
        self.max_batch_rows = max(self.max_batch_rows, summary.batch.max_rows)

    def previews(self, case: dict, every_steps: int) -> tuple[dict[str, numpy.ndarray], list]:
        request = self._messages.generate(case, "OUTPUT_FORMAT_LATENT")
        request.preview.every_steps = every_steps
        return self.stream(request, case)

    def embed_texts(self, cases: list[dict]) -> list[dict[str, numpy.ndarray]]:
        reply = self._networks.EmbedText(self._messages.embed_text(cases), timeout=TIMEOUT_SECONDS)
        return [{"embedding": values(text.embedding), "hidden_states": wire.to_array(text.hidden_states)[None],
                 "token_ids": numpy.array([text.token_ids])} for text in exactly(len(cases), reply.embeddings)]

    def embed_images(self, cases: list[dict]) -> list[dict[str, numpy.ndarray]]:
        reply = self._networks.EmbedImages(self._messages.embed_images(cases), timeout=TIMEOUT_SECONDS)
        return [{"embedding": values(embedding)} for embedding in exactly(len(cases), reply.embeddings)]

    def _embed_prompt(self, case: dict) -> dict[str, numpy.ndarray]:
        reply = self._networks.GenerateImageEmbedding(self._messages.embed_prompt(case), timeout=TIMEOUT_SECONDS)
        if [made.seed for made in reply.embeddings] != case["request"]["seeds"]:
            raise ValueError("embeddings of other seeds")
        return {"embedding": numpy.concatenate([values(made.embedding) for made in reply.embeddings]),
                "negative_embedding": numpy.concatenate([values(made.negative_embedding) for made in reply.embeddings])}

    def _encode_latents(self, case: dict) -> dict[str, numpy.ndarray]:
        reply = self._networks.EncodeLatents(self._messages.encode_latents(case), timeout=TIMEOUT_SECONDS)
        return {"latents": wire.to_array(reply.latents)[None]}

    def _decode_latents(self, case: dict) -> dict[str, numpy.ndarray]:
        floats = self._networks.DecodeLatents(self._messages.decode_latents(case, True), timeout=TIMEOUT_SECONDS)
        picture = self._networks.DecodeLatents(self._messages.decode_latents(case, False), timeout=TIMEOUT_SECONDS)
        return {"pixels": wire.to_array(floats.pixels)[None], "image": wire.to_picture(picture.image.data)[None]}


def values(embedding) -> numpy.ndarray:
    return numpy.array([embedding.values], numpy.float32)


def exactly(count: int, items) -> list:
    if len(items) != count:
        raise ValueError(f"{len(items)} answers, expected {count}")
    return list(items)


# ---- comparing -------------------------------------------------------------------------------------------------------


def relative_l2(actual: numpy.ndarray, expected: numpy.ndarray) -> float:
    """Of the worst row; infinite when the shapes differ."""
    if actual.shape != expected.shape:
        return math.inf
    rows = zip(actual.astype(float), expected.astype(float))
    return max(float(numpy.linalg.norm(a - b) / numpy.linalg.norm(b)) for a, b in rows)


def peak_signal_to_noise(actual: numpy.ndarray, expected: numpy.ndarray) -> float:
    """In dB, of the worst row; infinite for equal pictures."""
    if actual.shape != expected.shape:
        return -math.inf
    errors = ((actual.astype(float) - expected.astype(float)) ** 2).mean(axis=(1, 2, 3))
    return math.inf if errors.max() == 0 else 10 * math.log10(255**2 / errors.max())


def same_bits(actual: numpy.ndarray, expected: numpy.ndarray) -> bool:
    return (actual.shape, actual.dtype, actual.tobytes()) == (expected.shape, expected.dtype, expected.tobytes())


class Outcome:
    """Figures and verdict of one case."""

    def __init__(self, case: dict) -> None:
        self.case = case
        self.alone = {}
        self.error = ""
        self._figures = {"alone": ["not compared", "not compared"], "together": ["not compared", "not compared"]}
        self._failed = False

    def fail(self, error: str) -> None:
        self.error = self.error or error

    def compare(self, when: str, actual: dict[str, numpy.ndarray], expected: dict[str, numpy.ndarray]) -> None:
        """Looks at every result that is expected: "alone" within the limits, "together" every bit."""
        exact = when == "together"
        errors, psnr = [0.0], math.inf
        for name in expected:
            if name not in actual:
                return self.fail(f"{when}: no {name}")
            if name == "image":
                psnr = peak_signal_to_noise(actual[name], expected[name])
                self._failed |= not psnr >= MIN_PSNR
                self._failed |= exact and not same_bits(actual[name], expected[name])
            else:
                errors.append(relative_l2(actual[name], expected[name]))
                self._failed |= not errors[-1] <= TOLERANCES[name]
                self._failed |= exact and not same_bits(actual[name], expected[name])
        self._figures[when] = [f"{max(errors):.1e}", f"{psnr:.1f}" if "image" in expected else ""]

    def passed(self) -> bool:
        return not self.error and not self._failed and "not compared" not in sum(self._figures.values(), [])

    def line(self) -> str:
        request = self.case["request"]
        size = f"{request['width']}x{request['height']}"
        figures = self._figures["alone"] + self._figures["together"]
        return (f"{self.case['name']:40} {self.case['model']:8} {size:>7} {len(request['seeds']):>4} "
                f"{figures[0]:>9} {figures[1]:>7} {figures[2]:>12} {figures[3]:>11}  "
                f"{'ok' if self.passed() else 'FAILED ' + self.error}")


HEADER = (f"{'case':40} {'model':8} {'size':>7} {'rows':>4} {'L2':>9} {'PNG dB':>7} {'together L2':>12} "
          f"{'together dB':>11}")


def describe(error: Exception) -> str:
    """With the fields that a refused request is about."""
    if not isinstance(error, grpc.RpcError):
        return str(error)
    text = f"{error.code().name}: {error.details()}"
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                violations = error_details_pb2.BadRequest()
                if detail.Unpack(violations):
                    text += "".join(f"; {each.field}: {each.description}" for each in violations.field_violations)
    return text


def compare_alone(client: Client, outcome: Outcome, expected: dict[str, numpy.ndarray]) -> None:
    """Asks for the case with nothing else running."""
    try:
        for call in client.calls(outcome.case):
            outcome.alone |= call()
    except (grpc.RpcError, ValueError) as error:
        outcome.fail(describe(error))
        return
    outcome.compare("alone", outcome.alone, expected)


def compare_together(client: Client, outcomes: list[Outcome]) -> None:
    """Asks for all cases at once; texts and pictures to embed in one call each."""
    groups = {"embed_text": client.embed_texts, "embed_image": client.embed_images}
    jobs = []  # outcomes that a call is for, and the call
    for kind, embed in groups.items():
        members = [outcome for outcome in outcomes if kind_of(outcome.case) == kind]
        if members:
            jobs.append((members, functools.partial(embed, [outcome.case for outcome in members])))
    for outcome in outcomes:
        if kind_of(outcome.case) not in groups:
            jobs += [([outcome], lambda call=call: [call()]) for call in client.calls(outcome.case)]
    answers = {id(outcome): {} for outcome in outcomes}
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        results = [pool.submit(call) for _, call in jobs]
    for (members, _), result in zip(jobs, results):
        try:
            for outcome, answer in zip(members, result.result()):
                answers[id(outcome)] |= answer
        except (grpc.RpcError, ValueError) as error:
            for outcome in members:
                outcome.fail("together: " + describe(error))
    for outcome in outcomes:
        if not outcome.error:
            outcome.compare("together", answers[id(outcome)], outcome.alone)


def compare_previews(client: Client, outcome: Outcome) -> None:
    """Previews come, in the latents' size, and change nothing.

    On a busy machine a request of a few milliseconds may be over before a preview is encoded, and none is sent then:
    such an answer is asked for again.
    """
    for _ in range(PREVIEW_TRIES):
        try:
            results, previews = client.previews(outcome.case, every_steps=1)
        except (grpc.RpcError, ValueError) as error:
            return outcome.fail("previews: " + describe(error))
        if previews:
            break
    height, width = outcome.alone["latents"].shape[2:] if outcome.alone else (0, 0)
    if not previews:
        outcome.fail("no previews")
    for preview in previews:
        picture = wire.to_picture(preview.data)
        if picture.shape != (height, width, 3) or (preview.width, preview.height) != (width, height):
            outcome.fail(f"a preview of {picture.shape}")
        if not 1 <= preview.step <= outcome.case["request"]["steps"]:
            outcome.fail(f"a preview of step {preview.step}")
    if outcome.alone and not same_bits(results["latents"], outcome.alone["latents"]):
        outcome.fail("previews change the latents")


def compare_model(server: Server, interface, cases: list[dict], tensors: dict[str, numpy.ndarray]) -> list[Outcome]:
    outcomes = [Outcome(case) for case in cases]
    messages = wire.Messages(interface, tensors)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        client = Client(interface, channel, messages)
        for outcome in outcomes:
            prefix = outcome.case["name"] + "."
            expected = {name: tensors[prefix + name] for name in TOLERANCES | {"image": 0} if prefix + name in tensors}
            if kind_of(outcome.case) in IMAGE_TASKS and expected.keys() != {"latents", "image"}:
                raise SystemExit(f"{outcome.case['name']} lacks results; was the set made with --live?")
            compare_alone(client, outcome, expected)
        for kind in IMAGE_TASKS:
            of_kind = [outcome for outcome in outcomes if kind_of(outcome.case) == kind]
            if of_kind:
                compare_previews(client, of_kind[0])
        together = Client(interface, channel, messages)
        compare_together(together, outcomes)
    if together.max_batch_rows < 2:
        outcomes[0].fail("requests sent together never shared a step")
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
    folders, cases, tensors = {}, [], {}
    for stem in ("pipelines", "tasks"):
        recorded = json.loads((golden / f"{stem}.json").read_text(encoding="utf-8"))
        folders |= recorded["models"]
        cases += recorded["cases"]
        tensors |= load_file(golden / f"{stem}.safetensors")
    tensors |= load_file(golden / "sources.safetensors")
    if len(cases) < 100:
        raise SystemExit("fewer than 100 cases")
    outcomes = []
    with tempfile.TemporaryDirectory() as generated:
        interface = wire.load_interface(arguments.proto.resolve(), generated)
        print(HEADER)
        for model, folder in folders.items():
            of_model = [case for case in cases if case["model"] == model]
            with Server(arguments.server.resolve(), golden / folder) as server:
                outcomes += compare_model(server, interface, of_model, tensors)
    failed = sum(not outcome.passed() for outcome in outcomes)
    print(f"limits: L2 {TOLERANCES['latents']:.0e} (embeddings {TOLERANCES['embedding']:.0e}), PNG {MIN_PSNR:.0f} dB, "
          "together the same bits")
    print(f"{len(outcomes) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
