#!/usr/bin/env python3
"""The full-size decoder U-Net and image encoder with random weights in double precision, and how far diffusers in single
precision is from that. It makes what make_precision_cases.py makes, of two networks in the published configurations.

Usage: full_size_precision.py OUTPUT_DIR [--seed N] [--threads 2] [--only unet|encode]

Neither network fits into memory in double precision together with what it computes there (the U-Net has 1.25 billion
parameters; a convolution at 1024x1024 unfolds its input). Weights therefore become double precision layer by layer,
while the layer runs, and convolutions run over strips of the picture. Needs 7 GB of memory and 6 GB of disk.
"""

import reference  # before torch: it says how idle threads wait

import argparse
import json
import pathlib
import sys
import time

import torch
from diffusers import UNet2DConditionModel, VQModel
from safetensors.torch import save_file

import make_models
import published_configs

STRIP_ROWS = 64  # of a convolution's result


def without_weights(model: type, config: dict) -> torch.nn.Module:
    """The network without the slow default initialization."""
    with torch.device("meta"):
        network = model.from_config(config)
    return network.to_empty(device="cpu").eval()


def convolve_in_strips(convolution: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """The same values; PyTorch's convolution of doubles needs memory for kernel_size**2 copies of what it gets."""
    height, width = convolution.padding
    x = torch.nn.functional.pad(x, (width, width, height, height))
    kernel, stride = convolution.kernel_size[0], convolution.stride[0]
    rows = (x.shape[2] - kernel) // stride + 1
    strips = []
    for first in range(0, rows, STRIP_ROWS):
        last = min(first + STRIP_ROWS, rows) - 1
        strip = x[:, :, first * stride:last * stride + kernel]
        strips.append(torch.nn.functional.conv2d(strip, convolution.weight, convolution.bias, convolution.stride))
    return torch.cat(strips, dim=2)


def make_exact(network: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> None:
    """Lets every layer that has parameters of its own compute in double precision from the same weights.

    A network may turn its inputs into the weights' type, which loses nothing, but nothing else.
    """

    def widen(layer: torch.nn.Module, arguments: tuple) -> tuple:
        x, *others = arguments
        if x.dtype != torch.float64 and not any(torch.equal(x, known) for known in inputs.values()):
            raise SystemExit(f"{type(layer).__name__} was given single precision")
        layer.single = {name: parameter.data for name, parameter in layer.named_parameters(recurse=False)}
        for name, parameter in layer.named_parameters(recurse=False):
            parameter.data = layer.single[name].double()
        return x.double(), *others

    def narrow(layer: torch.nn.Module, *_) -> None:
        for name, parameter in layer.named_parameters(recurse=False):
            parameter.data = layer.single[name]

    for layer in network.modules():
        if next(layer.parameters(recurse=False), None) is not None:
            layer.register_forward_pre_hook(widen)
            layer.register_forward_hook(narrow)
        if isinstance(layer, torch.nn.Conv2d):
            layer.forward = lambda x, layer=layer: convolve_in_strips(layer, x)


def unet_case(draw) -> tuple:
    """A row of a picture of 512x512."""
    config = published_configs.UNET_DECODER
    inputs = {"sample": draw(1, 4, 64, 64), "timestep": torch.tensor([500.0]),
              "image_embeds": draw(1, config["encoder_hid_dim"])}

    def run(unet, cast):
        conditions = {"image_embeds": cast(inputs["image_embeds"])}
        return unet(cast(inputs["sample"]), inputs["timestep"], encoder_hidden_states=None,
                    added_cond_kwargs=conditions).sample

    return UNet2DConditionModel, config, inputs, run


def encode_case(draw) -> tuple:
    """A picture of 1024x1024."""
    inputs = {"pixels": draw(1, 3, 1024, 1024).clamp(-1, 1)}
    return VQModel, published_configs.MOVQ, inputs, lambda movq, cast: movq.encode(cast(inputs["pixels"])).latents


MAKERS = {"encode": encode_case, "unet": unet_case}


def write_case(output: pathlib.Path, kind: str, seed: int) -> tuple[dict, dict[str, torch.Tensor]]:
    """Writes the network; returns the entry of precision.json, and the tensors."""
    generator = torch.Generator().manual_seed(seed)
    model, config, inputs, run = MAKERS[kind](lambda *shape: torch.randn(shape, generator=generator))
    network = without_weights(model, config)
    make_models.randomize(network, seed)
    folder = output / kind
    make_models.write_json(folder / "config.json", config)
    save_file(network.state_dict(), folder / "weights.safetensors", metadata={"format": "pt"})
    start = time.monotonic()
    result = run(network, torch.Tensor.float)
    single_seconds = time.monotonic() - start
    make_exact(network, inputs)
    expected = run(network, torch.Tensor.double)
    distance = reference.relative_l2(result, expected)
    print(f"{kind}: diffusers in single precision is {distance:.2e} from double precision ({single_seconds:.0f} s; "
          f"in double precision {time.monotonic() - start - single_seconds:.0f} s)", file=sys.stderr, flush=True)
    tensors = {f"{kind}.{key}": tensor for key, tensor in inputs.items()} | {f"{kind}.expected": expected.contiguous()}
    return {"kind": kind, "folder": kind, "name": kind, "distance": distance}, tensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=2022)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=MAKERS, help="this network alone")
    arguments = parser.parse_args()
    reference.prepare_torch()
    torch.set_num_threads(arguments.threads)
    cases, tensors = [], {}
    for kind in [arguments.only] if arguments.only else MAKERS:
        case, of_case = write_case(arguments.output, kind, arguments.seed)
        cases.append(case)
        tensors |= of_case
    save_file(tensors, arguments.output / "precision.safetensors")
    (arguments.output / "precision.json").write_text(json.dumps(cases), encoding="utf-8")


if __name__ == "__main__":
    main()
