#!/usr/bin/env python3
"""Trains the MOVQ of the shapes models and writes the folder `decoder/movq` of the published layout.

Usage: train_movq.py OUTPUT [--steps N] [--seed S]

An autoencoder with spatial norms, as published, that makes latents a quarter as wide as the pictures. Like the
pipelines it leaves out the quantizer, so the codebook of the file is never used. Weights are in half precision;
OUTPUT/quality.json tells the peak signal to noise ratio on pictures that were not trained on, held-out combinations
among them.

The objects are small: an unweighted loss on whole pictures learns the background only. So the first part of the
training sees crops round the objects, and their pixels count more throughout.
"""

import argparse
import math
import pathlib
import random

from training_run import (Average, Checkpoint, Progress, add_training_arguments, output_folder, prepare_torch,
                          published_configs, save_component, to_pixels, write_json)  # before torch

import numpy
import torch
from diffusers import VQModel
from torch.nn import functional

import scenes
from judge import compare
from train_clip import learning_rate

CONFIG = dict(published_configs.MOVQ, block_out_channels=[32, 32, 64], layers_per_block=1, norm_num_groups=4,
              down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3,
              mid_block_add_attention=False, num_vq_embeddings=16, sample_size=16)
CROP, CROPS, PICTURES = 32, 32, 12  # pixels; crops and whole pictures in a batch
CROPPED_PART = 0.6  # of the steps
TWO_OBJECTS, OFF_PALETTE = 0.35, 0.4
OBJECT_WEIGHT = 5.0
LATENT_NOISE = 0.05


# ---- batches ---------------------------------------------------------------------------------------------------------


def object_mask(scene: scenes.Scene) -> numpy.ndarray:
    """Pixels that objects touch, and their neighbors; float [64, 64]."""
    mask = numpy.zeros((scenes.SIZE, scenes.SIZE), numpy.float32)
    for thing in scene.things:
        x, y, reach = thing.x, thing.y, 1.3 * thing.radius + 1
        left, top = max(int(x - reach), 0), max(int(y - reach), 0)
        mask[top:int(y + reach) + 1, left:int(x + reach) + 1] = 1
    return mask


def make_batch(seed: int | str, step: int, cropped: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels [N, 3, H, W] in -1..1 and their weights [N, 1, H, W]."""
    rng = random.Random(f"movq {seed}/{step}")
    pictures, weights = [], []
    for _ in range(CROPS if cropped else PICTURES):
        scene = scenes.sample_scene(rng, 2 if rng.random() < TWO_OBJECTS else 1, rng.random() < OFF_PALETTE)
        picture, mask = scenes.render(scene), object_mask(scene)
        if cropped:
            thing = rng.choice(scene.things)
            left, top = (min(max(int(c) - CROP // 2 + rng.randint(-6, 6), 0), scenes.SIZE - CROP)
                         for c in (thing.x, thing.y))
            picture = picture[top:top + CROP, left:left + CROP]
            mask = mask[top:top + CROP, left:left + CROP]
        pictures.append(picture)
        weights.append(1 + (OBJECT_WEIGHT - 1) * mask)
    return to_pixels(pictures) * 2 - 1, torch.from_numpy(numpy.stack(weights))[:, None]


# ---- training --------------------------------------------------------------------------------------------------------


def decode(movq: VQModel, latents: torch.Tensor) -> torch.Tensor:
    return movq.decode(latents, force_not_quantize=True).sample


def picture_loss(decoded: torch.Tensor, pixels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """L1, squares and L1 of the gradients."""
    difference = decoded - pixels
    weights = weights / weights.mean()
    points = (weights * (difference.abs() + 0.5 * difference.square())).mean()
    along = (weights[..., 1:] * difference.diff(dim=-1).abs()).mean()
    down = (weights[..., 1:, :] * difference.diff(dim=-2).abs()).mean()
    return points + 0.5 * (along + down)


def latent_loss(latents: torch.Tensor) -> torch.Tensor:
    """Pulls every channel to mean 0 and spread 1."""
    return latents.mean((0, 2, 3)).square().mean() + (latents.std((0, 2, 3)) - 1).square().mean()


def train(arguments: argparse.Namespace, folder: pathlib.Path) -> VQModel:
    movq = VQModel.from_config(CONFIG).train()
    movq.quantize.requires_grad_(False)
    parameters = [p for p in movq.parameters() if p.requires_grad]
    print(f"{sum(p.numel() for p in parameters) / 1e6:.2f} M parameters", flush=True)
    optimizer = torch.optim.AdamW(parameters, weight_decay=1e-4, betas=(0.9, 0.99))
    average = Average(movq, 0.995)
    checkpoint = Checkpoint(folder / "checkpoint.pt", {"seed": arguments.seed, "steps": arguments.steps},
                            movq=movq, optimizer=optimizer, average=average)
    first = checkpoint.restore()
    progress = Progress(arguments.steps, first, arguments.report_every)
    for step in range(first, arguments.steps):
        pixels, weights = make_batch(arguments.seed, step, cropped=step < CROPPED_PART * arguments.steps)
        latents = movq.encode(pixels).latents
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(arguments.seed * 1000003 + step))
        decoded = decode(movq, latents + LATENT_NOISE * noise)
        pictures, spread = picture_loss(decoded, pixels, weights), latent_loss(latents)
        optimizer.zero_grad(set_to_none=True)
        (pictures + 0.1 * spread).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, arguments.steps, arguments.learning_rate, 50)
        optimizer.step()
        average.update(movq)
        error = functional.mse_loss(decoded.detach(), pixels).item()
        progress.step(step, pictures=pictures.item(), latents=spread.item(), psnr=10 * math.log10(4 / error))
        if (step + 1) % arguments.save_every == 0:
            checkpoint.save(step + 1)
    average.copy_to(movq)
    checkpoint.save(arguments.steps)
    return movq.eval()


# ---- after the training ----------------------------------------------------------------------------------------------


@torch.no_grad()
def normalize_latents(movq: VQModel, seed: int) -> None:
    """Gives every channel mean 0 and spread 1 over the pictures, without a change to what is decoded.

    The latents are made by one 1x1 convolution and only read by others: post_quant_conv and those of the norms.
    """
    latents = torch.cat([movq.encode(make_batch(f"statistics {seed}", i, cropped=False)[0]).latents
                         for i in range(40)])
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    movq.quant_conv.weight.div_(std[:, None, None, None])
    movq.quant_conv.bias.sub_(mean).div_(std)
    readers = [movq.post_quant_conv]
    for name, module in movq.decoder.named_modules():
        if name.endswith(("conv_y", "conv_b")):
            readers.append(module)
    for conv in readers:
        conv.bias.add_((conv.weight[:, :, 0, 0] * mean).sum(1))
        conv.weight.mul_(std[None, :, None, None])


@torch.no_grad()
def quality(movq: VQModel, seed: int, held_out: bool, count: int) -> dict[str, float]:
    """Peak signal to noise ratios in decibels, of whole pictures and of the objects' pixels, and what the judge says.

    "judged right": the share of decoded pictures that judge.py finds right in everything, as no decoder can exceed it.
    """
    squares, object_squares, object_pixels, right = 0.0, 0.0, 0, 0
    for index in range(count):
        rng = random.Random(f"quality {seed} {held_out}/{index}")
        scene = scenes.sample_scene(rng, 1 + index % 2, held_out=held_out)
        pixels = to_pixels([scenes.render(scene)]) * 2 - 1
        decoded = decode(movq, movq.encode(pixels).latents).clamp(-1, 1)
        error = (decoded - pixels).square().mean(1)[0]
        picture = ((decoded[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
        right += compare(picture, scene.describe())["all"]
        covered = sum(scenes.coverage(t.shape, t.x, t.y, t.radius) for t in scene.things) > 0
        squares += error.mean().item()
        object_squares += error[torch.from_numpy(covered)].sum().item()
        object_pixels += int(covered.sum())
    return {"psnr": 10 * math.log10(4 * count / squares),
            "psnr of objects": 10 * math.log10(4 * object_pixels / object_squares), "judged right": right / count}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_training_arguments(parser, steps=2000)
    parser.add_argument("--learning-rate", type=float, default=2.5e-3)
    arguments = parser.parse_args()
    with output_folder(arguments.output, arguments.force) as folder:
        if folder is None:
            return
        prepare_torch(arguments.seed, arguments.threads)
        movq = train(arguments, folder)
        normalize_latents(movq, arguments.seed)
        save_component(folder, "diffusion_pytorch_model", CONFIG, movq.state_dict())
        movq = VQModel.from_pretrained(folder)  # as written, in half precision
        results = {name: quality(movq.float(), arguments.seed, held_out, 300)
                   for name, held_out in (("known", False), ("held out", True))}
        print("\n".join(f"{name}: {value}" for name, value in results.items()), flush=True)
        write_json(folder / "quality.json", results)
        (folder / "checkpoint.pt").unlink()


if __name__ == "__main__":
    main()
