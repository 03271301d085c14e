"""Seconds of one guided step (two rows) of the full published 2.2 decoder U-Net with random weights in diffusers,
eager, 32-bit, in the default memory layout and in channels_last. The peer of unet_step.cc. Prints one JSON object.

Usage: unet_step_diffusers.py [--latent 32] [--threads 2] [--repeats 5]
"""

import torch
from diffusers import UNet2DConditionModel

import diffusers_timing


def make_sample(unet, edge):
    return torch.randn(2, unet.config.in_channels, edge, edge)


def make_run(unet, sample):
    conditions = {"image_embeds": torch.randn(2, unet.config.encoder_hid_dim)}
    return lambda i: unet(sample, 1 + i, encoder_hidden_states=None, added_cond_kwargs=conditions, return_dict=False)[0]


if __name__ == "__main__":
    diffusers_timing.main(__doc__, lambda: diffusers_timing.random_network(UNet2DConditionModel, "unet_decoder.json"),
                          make_sample, make_run, latent=32, repeats=5)
