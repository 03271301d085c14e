#!/usr/bin/env python3
"""Small networks of random shapes, what they compute in double precision, and how far diffusers in single precision is
from that: the measure for the rounding of the C++ networks.

Usage: make_precision_cases.py OUTPUT_DIR [--seed N] [--scale 1]

Writes precision.json, a list of cases: `kind` ("unet", "encode", "decode" or "prior"), `folder` (config.json and
weights.safetensors of the network), `name` of its tensors in precision.safetensors (inputs in 32-bit floats, `expected`
in double precision), `distance` (relative L2 of diffusers' result in 32-bit floats to it).
"""

import reference  # before torch: it says how idle threads wait

import argparse
import copy
import json
import math
import pathlib
import random

import torch
from diffusers import PriorTransformer, UNet2DConditionModel, VQModel
from safetensors.torch import save

import make_models
import published_configs

# Networks of each kind; an autoencoder makes two cases.
COUNTS = {"unet": 48, "movq": 28, "prior": 24, "large": 1}


def unet_case(rng: random.Random, draw) -> tuple:
    per_head = rng.choice([8, 16])
    widths = tuple(rng.choice([16, 32, 48, 64, 96]) for _ in range(rng.choice([1, 2, 2, 3])))
    config = dict(make_models.unet_config(widths, layers=rng.choice([1, 2])), attention_head_dim=per_head,
                  norm_num_groups=rng.choice([4, 8]), cross_attention_dim=rng.choice([16, 40]),
                  sample_size=8)
    factor = 2 ** (len(widths) - 1)
    height, width = (factor * rng.choice([1, 2, 3, 5, 8]) for _ in range(2))
    rows = rng.choice([1, 2])
    inputs = {"sample": draw(rows, 4, height, width), "timestep": torch.randint(0, 1000, (rows,)).float(),
              "image_embeds": draw(rows, config["encoder_hid_dim"])}

    def run(unet, cast):
        conditions = {"image_embeds": cast(inputs["image_embeds"])}
        return unet(cast(inputs["sample"]), inputs["timestep"], encoder_hidden_states=None,
                    added_cond_kwargs=conditions).sample

    return UNet2DConditionModel, config, [("unet", inputs, run)]


def movq_case(rng: random.Random, draw) -> tuple:
    widths = tuple(rng.choice([32, 64, 96]) for _ in range(rng.choice([2, 3])))
    config = dict(make_models.movq_config(widths), layers_per_block=rng.choice([1, 2]),
                  norm_num_groups=rng.choice([4, 16, 32]))
    factor = 2 ** (len(widths) - 1)
    height, width = (rng.choice([2, 3, 5, 8]) for _ in range(2))
    pixels = {"pixels": draw(1, 3, factor * height, factor * width).clamp(-1, 1)}
    latents = {"latents": draw(1, 4, height, width)}
    return VQModel, config, [
        ("encode", pixels, lambda movq, cast: movq.encode(cast(pixels["pixels"])).latents),
        ("decode", latents, lambda movq, cast: movq.decode(cast(latents["latents"]), force_not_quantize=True).sample)]


def prior_case(rng: random.Random, draw) -> tuple:
    width = rng.choice([32, 48, 80])
    config = dict(published_configs.PRIOR, embedding_dim=width, num_attention_heads=rng.choice([2, 3, 4]),
                  attention_head_dim=rng.choice([8, 16, 32]), num_layers=rng.choice([1, 2, 4]))
    rows = rng.choice([1, 2, 4])
    lengths = torch.tensor([rng.randint(2, 77) for _ in range(rows)])
    inputs = {"hidden_states": draw(rows, width), "timestep": torch.tensor([float(rng.randint(0, 999))] * rows),
              "proj_embedding": draw(rows, width), "encoder_hidden_states": draw(rows, 77, width),
              "attention_mask": (torch.arange(77)[None] < lengths[:, None]).to(torch.uint8)}

    def run(prior, cast):
        return prior(cast(inputs["hidden_states"]), inputs["timestep"], proj_embedding=cast(inputs["proj_embedding"]),
                     encoder_hidden_states=cast(inputs["encoder_hidden_states"]),
                     attention_mask=inputs["attention_mask"].bool()).predicted_image_embedding

    return PriorTransformer, config, [("prior", inputs, run)]


def large_case(rng: random.Random, draw) -> tuple:
    """A picture of 1024 x 1024: what gathers with the size must not gather in the result."""
    pixels = {"pixels": draw(1, 3, 1024, 1024).clamp(-1, 1)}
    return VQModel, make_models.movq_config((32, 32, 32, 32)), [
        ("encode", pixels, lambda movq, cast: movq.encode(cast(pixels["pixels"])).latents)]


MAKERS = {"unet": unet_case, "movq": movq_case, "prior": prior_case, "large": large_case}


def write_cases(output: pathlib.Path, seed: int, scale: float) -> None:
    rng, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    cases, tensors = [], {}
    for network_kind, count in COUNTS.items():
        for i in range(math.ceil(count * scale)):
            model, config, runs = MAKERS[network_kind](rng, draw)
            network = model.from_config(config).eval()
            make_models.randomize(network, seed + i)
            folder = f"precision/{network_kind}_{i}"
            make_models.save_component(output / folder, "weights", config, network.state_dict())
            exact_network = copy.deepcopy(network).double()
            for kind, inputs, run in runs:
                name = f"{network_kind}_{kind}_{i}"
                expected = run(exact_network, torch.Tensor.double)
                distance = reference.relative_l2(run(network, torch.Tensor.float), expected)
                cases.append({"kind": kind, "folder": folder, "name": name, "distance": distance})
                tensors |= {f"{name}.{key}": tensor for key, tensor in inputs.items()} | {f"{name}.expected": expected}
    (output / "precision.json").write_text(json.dumps(cases), encoding="utf-8")
    content = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    (output / "precision.safetensors").write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=2022)
    parser.add_argument("--scale", type=float, default=1, help="of the number of cases")
    arguments = parser.parse_args()
    reference.prepare_torch()
    write_cases(arguments.output, arguments.seed, arguments.scale)


if __name__ == "__main__":
    main()
