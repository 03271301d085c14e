"""Seconds of decoding one picture with the full published MOVQ with random weights in diffusers, eager, 32-bit, in the
default memory layout and in channels_last. The peer of movq_decode.cc. Prints one JSON object.

Usage: movq_decode_diffusers.py [--latent 64] [--threads 2] [--repeats 3]
"""

import argparse
import json
import pathlib
import time

import torch
from diffusers import VQModel

CONFIG = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/diffusers/full_size_configs/movq.json"


def random_movq():
    movq = VQModel.from_config(json.loads(CONFIG.read_text())).eval()
    for parameter in movq.parameters():
        parameter.uniform_(-0.02, 0.02)
    return movq


def best_seconds(movq, latents, repeats):
    """The fastest of `repeats` pictures, after one that is not counted."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        pixels = movq.decode(latents, force_not_quantize=True).sample
        seconds.append(time.perf_counter() - start)
        if not pixels.isfinite().all():
            raise SystemExit("the output is not finite")
    return round(min(seconds[1:]), 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latent", type=int, default=64, help="latent height and width; 64 is a picture of 512x512")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    with torch.inference_mode():
        movq = random_movq()
        latents = torch.randn(1, movq.config.latent_channels, arguments.latent, arguments.latent)
        nchw = best_seconds(movq, latents, arguments.repeats)
        movq = movq.to(memory_format=torch.channels_last)
        channels_last = best_seconds(movq, latents.contiguous(memory_format=torch.channels_last), arguments.repeats)
    print(json.dumps({"nchw_s": nchw, "channels_last_s": channels_last, "repeats": arguments.repeats}))


if __name__ == "__main__":
    main()
