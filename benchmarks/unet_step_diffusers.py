"""Seconds of one guided step (two rows) of the full published 2.2 decoder U-Net with random weights in diffusers,
eager, 32-bit, in the default memory layout and in channels_last. The peer of unet_step.cc. Prints one JSON object.

Usage: unet_step_diffusers.py [--latent 32] [--threads 2] [--repeats 5]
"""

import argparse
import json
import pathlib
import time

import torch
from diffusers import UNet2DConditionModel

CONFIG = pathlib.Path(__file__).resolve().parent.parent / "tests/golden/diffusers/full_size_configs/unet_decoder.json"


def random_unet():
    """The U-Net without the slow default initialization; speed does not depend on the values."""
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(json.loads(CONFIG.read_text()))
    unet = unet.to_empty(device="cpu").eval()
    for parameter in unet.parameters():
        parameter.uniform_(-0.02, 0.02)
    return unet


def best_seconds(unet, sample, repeats):
    """The fastest of `repeats` steps, after one that is not counted."""
    embeds = torch.randn(2, unet.config.encoder_hid_dim)
    seconds = []
    for i in range(repeats + 1):
        start = time.perf_counter()
        conditions = {"image_embeds": embeds}
        output = unet(sample, 1 + i, encoder_hidden_states=None, added_cond_kwargs=conditions, return_dict=False)[0]
        seconds.append(time.perf_counter() - start)
        if not output.isfinite().all():
            raise SystemExit("the output is not finite")
    return round(min(seconds[1:]), 4)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latent", type=int, default=32, help="latent height and width; 32 is a picture of 256x256")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    with torch.inference_mode():
        unet = random_unet()
        sample = torch.randn(2, unet.config.in_channels, arguments.latent, arguments.latent)
        nchw = best_seconds(unet, sample, arguments.repeats)
        unet = unet.to(memory_format=torch.channels_last)
        channels_last = best_seconds(unet, sample.contiguous(memory_format=torch.channels_last), arguments.repeats)
    print(json.dumps({"nchw_s": nchw, "channels_last_s": channels_last, "repeats": arguments.repeats}))


if __name__ == "__main__":
    main()
