#!/usr/bin/env python3
"""Asks a running server for the pictures of prompts.py and writes the manifest that judge.py reads.

Usage: draw_prompts.py PROMPTS.jsonl OUTPUT --server HOST:PORT [--steps N] [--guidance X] ...

OUTPUT gets ID.png for every prompt, and results.jsonl. Pictures that are there already are not asked for again.
"""

import argparse
import concurrent.futures
import json
import pathlib
import sys
import tempfile

import grpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "parity"))
import wire  # noqa: E402

TIMEOUT_SECONDS = 600


def draw(stub, messages, entry: dict, arguments: argparse.Namespace) -> None:
    path = arguments.output / f"{entry['id']}.png"
    if path.exists() and not arguments.force:
        return
    request = messages.GenerateRequest(
        prompt=entry["prompt"], seed=entry["seed"], width=arguments.size, height=arguments.size, steps=arguments.steps,
        guidance_scale=arguments.guidance, prior_steps=arguments.prior_steps,
        prior_guidance_scale=arguments.prior_guidance)
    if entry["negative_prompt"] is not None:
        request.negative_prompt = entry["negative_prompt"]
    request.output.format = messages.OUTPUT_FORMAT_PNG
    path.write_bytes(stub.GenerateImages(request, timeout=TIMEOUT_SECONDS).images[0].data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prompts", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--server", default="localhost:50051", metavar="HOST:PORT")
    parser.add_argument("--size", type=int, default=64, help="pixels, edge of the pictures")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--prior-steps", type=int, default=20)
    parser.add_argument("--prior-guidance", type=float, default=2.0)
    parser.add_argument("--parallel", type=int, default=16, help="requests at a time")
    parser.add_argument("--force", action="store_true", help="make them again when they are there already")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    entries = [json.loads(line) for line in arguments.prompts.read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as generated, grpc.insecure_channel(arguments.server) as channel:
        interface = wire.load_interface(ROOT / "proto", generated)
        stub = interface.image_stubs.ImageGenerationServiceStub(channel)
        with concurrent.futures.ThreadPoolExecutor(arguments.parallel) as pool:
            waiting = [pool.submit(draw, stub, interface.image, entry, arguments) for entry in entries]
            for done, future in enumerate(concurrent.futures.as_completed(waiting), 1):
                future.result()
                if done % 50 == 0 or done == len(entries):
                    print(f"{done} of {len(entries)} pictures", flush=True)
    lines = [json.dumps(dict(entry, picture=f"{entry['id']}.png"), ensure_ascii=False) for entry in entries]
    (arguments.output / "results.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
