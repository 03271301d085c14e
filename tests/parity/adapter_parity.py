#!/usr/bin/env python3
"""Compares requests that choose low-rank adapters with diffusers' networks that have the adapters in their weights.

Usage: adapter_parity.py --server BINARY --golden-dir DIR

DIR is a folder of make_goldens.py, of which one tiny model is used. The adapters' files have random factors for every
attention layer, named as diffusers' training scripts name them: "<name of an attention processor>.<layer>_lora.down.weight".
Every set is asked for alone, then all of them at once. Ends with an exit code other than 0 when one fails.
"""

import reference  # before torch: it says how idle threads wait

import argparse
import concurrent.futures
import copy
import pathlib
import tempfile

import grpc
import torch
from safetensors.torch import save_file

import wire
from server_process import Server

TOLERANCE = 1e-4  # relative L2 of latents against diffusers
BATCH_TOLERANCE = 1e-5  # and of a request alone against one among others
LEAST_CHANGE = 0.01  # that a set must make: else nothing would be shown
RANK = 4
LAYERS = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0", "add_k_proj": "add_k_proj",
          "add_v_proj": "add_v_proj"}
REQUEST = {"prompt": "red cat, 4k photo", "negative_prompt": "blurry", "width": 64, "height": 64, "steps": 5,
           "guidance_scale": 3.0, "prior_steps": 4, "prior_guidance_scale": 3.0, "seeds": [7], "sampler": "default"}
# Networks with adapters and their strength, by the set's name.
SETS = {"": ((), 0.0), "unet": (("unet",), 1.0), "prior": (("prior",), 1.0), "both": (("unet", "prior"), 1.0),
        "weak": (("unet", "prior"), -0.5)}


def make_adapters(network: torch.nn.Module, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    factors = {}
    for processor in network.attn_processors:
        attention = network.get_submodule(processor.removesuffix(".processor"))
        for name, layer in LAYERS.items():
            if getattr(attention, layer.split(".")[0], None) is None:
                continue
            rows, columns = attention.get_submodule(layer).weight.shape
            factors[f"{processor}.{name}_lora.down.weight"] = torch.randn(RANK, columns, generator=generator) / columns**0.5
            factors[f"{processor}.{name}_lora.up.weight"] = torch.randn(rows, RANK, generator=generator) / RANK**0.5
    return factors


def merge(network: torch.nn.Module, factors: dict[str, torch.Tensor], scale: float) -> torch.nn.Module:
    merged = copy.deepcopy(network)
    for key, down in factors.items():
        if not key.endswith(".down.weight"):
            continue
        attention, name = key.removesuffix("_lora.down.weight").rsplit(".processor.", 1)
        weight = merged.get_submodule(f"{attention}.{LAYERS[name]}").weight
        weight += scale * factors[key.replace(".down.", ".up.")] @ down
    return merged


def expected_latents(model: reference.Model, adapters: dict[str, dict]) -> dict[str, torch.Tensor]:
    plain = {"unet": model.decoder.unet, "prior": model.prior.prior}
    latents = {}
    for name, (networks, scale) in SETS.items():
        chosen = plain | {network: merge(plain[network], adapters[network], scale) for network in networks}
        model.decoder.unet, model.prior.prior = chosen["unet"], chosen["prior"]
        latents[name] = model.generate(REQUEST)["latents"]
    return latents


def write_config(path: pathlib.Path, files: dict[str, pathlib.Path]) -> None:
    groups = []
    for name, (networks, scale) in SETS.items():
        if name:
            paths = " ".join(f'{network}_lora_path: "{files[network]}"' for network in networks)
            groups.append(f'adapters {{ name: "{name}" {paths} scale: {scale} }}')
    path.write_text("model { " + "\n".join(groups) + " }\n", encoding="utf-8")


def ask(interface, channel, name: str) -> tuple[torch.Tensor, bool]:
    """The latents, and whether a step was kept apart from another request's because of its network."""
    message = wire.Messages(interface, {}).generate({"request": REQUEST}, "OUTPUT_FORMAT_LATENT")
    message.adapter = name
    reply = interface.image_stubs.ImageGenerationServiceStub(channel).GenerateImages(message, timeout=240)
    apart = any(reason.reason == "network" for reason in reply.summary.batch.not_merged)
    return torch.tensor(wire.to_array(reply.images[0].latents))[None], apart


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", type=pathlib.Path, required=True)
    parser.add_argument("--golden-dir", type=pathlib.Path, required=True)
    parser.add_argument("--proto", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / "proto")
    arguments = parser.parse_args()
    reference.prepare_torch()
    folder = arguments.golden_dir.resolve() / "models/b"
    model = reference.Model(folder)
    adapters = {"unet": make_adapters(model.decoder.unet, 1), "prior": make_adapters(model.prior.prior, 2)}
    expected = expected_latents(model, adapters)
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        files = {network: root / f"{network}.safetensors" for network in adapters}
        for network, factors in adapters.items():
            save_file(factors, files[network])
        write_config(root / "server.textproto", files)
        (root / "interface").mkdir()
        interface = wire.load_interface(arguments.proto.resolve(), str(root / "interface"))
        with Server(arguments.server.resolve(), folder, root / "server.textproto") as server:
            with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                alone = {name: ask(interface, channel, name) for name in SETS}
                with concurrent.futures.ThreadPoolExecutor(len(SETS)) as pool:
                    together = dict(zip(SETS, pool.map(lambda name: ask(interface, channel, name), SETS)))
    failed = not any(apart for _, apart in together.values())
    if failed:
        print("requests sent together never met")
    for name in SETS:
        error = reference.relative_l2(alone[name][0], expected[name])
        change = reference.relative_l2(expected[name], expected[""])
        batched = reference.relative_l2(together[name][0], alone[name][0])
        wrong = not (error <= TOLERANCE and batched <= BATCH_TOLERANCE and (not name or change >= LEAST_CHANGE))
        failed |= wrong
        print(f"adapters {name or 'none':6} L2 {error:.1e}, together {batched:.1e}, change of the latents {change:.2f}"
              f"{'  FAILED' if wrong else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
