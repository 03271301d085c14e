#!/usr/bin/env python3
"""Assembles the shapes models in the layout of the published repositories, for kandinsky-train and the server.

Usage: build_layout.py OUTPUT --prior DIR --movq DIR [--unet DIR] [--seed S]

DIR are the outputs of train_clip.py and train_movq.py, or what kandinsky-train made of them. As with the published
models there is a pair of folders for each task:
- OUTPUT/{prior,decoder}: text to image;
- OUTPUT/inpaint/{prior,decoder}: its U-Net has 9 channels in;
- OUTPUT/depth/{prior,decoder}: its U-Net has 8 channels in, 4 of them from a map of depth.
The U-Nets have random weights, in half precision, which diffusers makes. With --unet, a trained U-Net for text to image,
that one is taken and the others begin with its weights: what they see beside the noisy latents counts nothing at first.
Inpainting and depth share the prior and the MOVQ by relative links.

Three U-Nets have to fit into 20 MB in half precision with everything else, so they are narrow.
"""

import argparse
import json
import pathlib
import shutil

from training_run import (add_common_arguments, output_folder, prepare_torch, published_configs, save_component,
                          write_json)  # before torch

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.embeddings import ImageHintTimeEmbedding
from safetensors.torch import load_file

import generation_defaults
import scenes
from train_clip import EMBEDDING

UNET_CONFIG = dict(
    published_configs.UNET_DECODER, block_out_channels=[64, 64, 64], layers_per_block=1, attention_head_dim=32,
    norm_num_groups=16, cross_attention_dim=32, encoder_hid_dim=EMBEDDING, sample_size=scenes.SIZE // 4,
    down_block_types=["ResnetDownsampleBlock2D"] + ["SimpleCrossAttnDownBlock2D"] * 2,
    up_block_types=["SimpleCrossAttnUpBlock2D"] * 2 + ["ResnetUpsampleBlock2D"])

# Folder, difference of the U-Net, model_index.json, scheduler.
TASKS = (("", {}, published_configs.DECODER_MODEL_INDEX, published_configs.DECODER_SCHEDULER),
         ("inpaint", {"in_channels": 9}, published_configs.INPAINT_MODEL_INDEX, published_configs.INPAINT_SCHEDULER),
         ("depth", {"in_channels": 8, "addition_embed_type": "image_hint"}, published_configs.DEPTH_MODEL_INDEX,
          published_configs.DECODER_SCHEDULER))


def begin_with(network: torch.nn.Module, trained: dict[str, torch.Tensor]) -> None:
    """Takes the weights of the U-Net for text to image. Further channels in weigh 0.

    A hint block keeps the strength of its input: with PyTorch's first weights its eight layers leave so little of a
    hint that hundreds of steps did not find it.
    """
    for module in network.modules():
        if isinstance(module, ImageHintTimeEmbedding):
            for layer in module.input_hint_block:
                if isinstance(layer, torch.nn.Conv2d):
                    inputs = layer.weight[0].numel()
                    torch.nn.init.normal_(layer.weight, std=1.75 / inputs ** 0.5)
                    torch.nn.init.zeros_(layer.bias)
    for name, value in network.state_dict().items():
        if name not in trained:
            continue
        if name == "conv_in.weight":
            value.zero_()
            value = value[:, :trained[name].shape[1]]
        value.copy_(trained[name])


def write_decoder(folder: pathlib.Path, unet: dict, model_index: dict, scheduler: dict, trained: dict[str, torch.Tensor],
                  seed: int) -> int:
    """Everything but the MOVQ; returns the number of the U-Net's parameters."""
    write_json(folder / "model_index.json", model_index)
    write_json(folder / generation_defaults.FILE, generation_defaults.DEFAULTS)
    # Published latents lie within -1..1 and are clipped to it at every step; ours have a spread of 1, as the noise has.
    write_json(folder / "scheduler" / "scheduler_config.json", dict(scheduler, clip_sample=False))
    prepare_torch(seed, threads=0)
    network = UNet2DConditionModel.from_config(unet)
    begin_with(network, trained)
    save_component(folder / "unet", "diffusion_pytorch_model", unet, network.state_dict())
    return sum(parameter.numel() for parameter in network.parameters())


def copy_part(source: pathlib.Path, target: pathlib.Path) -> None:
    """A trained part without the figures beside it."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("accuracy.json", "quality.json", "checkpoint.pt"))


def link(path: pathlib.Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_common_arguments(parser)
    parser.add_argument("--prior", type=pathlib.Path, required=True, help="output of train_clip.py")
    parser.add_argument("--movq", type=pathlib.Path, required=True, help="output of train_movq.py")
    parser.add_argument("--unet", type=pathlib.Path, help="a trained U-Net for text to image")
    arguments = parser.parse_args()
    trained = load_file(arguments.unet / "diffusion_pytorch_model.safetensors") if arguments.unet else {}
    with output_folder(arguments.output, arguments.force) as folder:
        if folder is None:
            return
        copy_part(arguments.prior, folder / "prior")
        copy_part(arguments.movq, folder / "decoder" / "movq")
        for i, (task, difference, model_index, scheduler) in enumerate(TASKS):
            config = dict(UNET_CONFIG, **difference)
            count = write_decoder(folder / task / "decoder", config, model_index, scheduler, trained,
                                  arguments.seed + i)
            print(f"U-Net of {task or 'text to image'}: {count / 1e6:.2f} M parameters", flush=True)
            if task:
                link(folder / task / "prior", "../prior")
                link(folder / task / "decoder" / "movq", "../../decoder/movq")
        vocabulary = json.loads((folder / "prior" / "tokenizer" / "vocab.json").read_text(encoding="utf-8"))
        print(f"{len(vocabulary)} tokens", flush=True)


if __name__ == "__main__":
    main()
