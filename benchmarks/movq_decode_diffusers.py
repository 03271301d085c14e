"""Seconds of decoding one picture with the full published MOVQ with random weights in diffusers, eager, 32-bit, in the
default memory layout and in channels_last. The peer of movq_decode.cc. Prints one JSON object.

Usage: movq_decode_diffusers.py [--latent 64] [--threads 2] [--repeats 3]
"""

import torch
from diffusers import VQModel

import diffusers_timing


def make_sample(movq, edge):
    return torch.randn(1, movq.config.latent_channels, edge, edge)


def make_run(movq, latents):
    return lambda _: movq.decode(latents, force_not_quantize=True).sample


if __name__ == "__main__":
    diffusers_timing.main(__doc__, lambda: diffusers_timing.random_network(VQModel, "movq.json"), make_sample, make_run,
                          latent=64, repeats=3)
