#!/usr/bin/env python3
"""Compares requests that choose low-rank adapters with diffusers' networks that have these adapters.

Usage: adapter_parity.py --server BINARY --train BINARY --golden-dir DIR

DIR is a folder of make_goldens.py, of which one tiny model is used. Each set of adapters is a file, or two, that the
server and diffusers read: in the form of diffusers' old training scripts (which today's diffusers reads only in part, so
it gets the weights merged), as diffusers and PEFT save them, as kohya's trainer names them, and as kandinsky-train writes
them after some steps. Where diffusers loads a file, no tensor of it may be left out. Every set is asked for alone, then
all of them at once. Ends with an exit code other than 0 when one fails.
"""

import reference  # before torch: it says how idle threads wait

import argparse
import concurrent.futures
import copy
import dataclasses
import pathlib
import tempfile

import grpc
import torch
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

import trained_model_parity
import wire
from server_process import Server

TOLERANCE = 1e-4  # relative L2 of latents against diffusers
LEAST_CHANGE = 0.01  # that a set must make: else nothing would be shown
RANK = 4
LAYERS = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0", "add_k_proj": "add_k_proj",
          "add_v_proj": "add_v_proj"}
WEIGHTS = "pytorch_lora_weights.safetensors"
REQUEST = {"prompt": "red cat, 4k photo", "negative_prompt": "blurry", "width": 64, "height": 64, "steps": 5,
           "guidance_scale": 3.0, "prior_steps": 4, "prior_guidance_scale": 3.0, "seeds": [7], "sampler": "default"}
Networks = dict[str, torch.nn.Module]


@dataclasses.dataclass
class AdapterSet:
    """What the server is given, and the networks that diffusers has instead of the plain ones."""
    files: dict[str, pathlib.Path] = dataclasses.field(default_factory=dict)  # by network
    scale: float = 0.0
    networks: Networks = dataclasses.field(default_factory=dict)


# ---- the form of the old training scripts: merged by hand ----

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


def merged_sets(plain: Networks, root: pathlib.Path) -> dict[str, AdapterSet]:
    factors = {"unet": make_adapters(plain["unet"], 1), "prior": make_adapters(plain["prior"], 2)}
    files = {network: root / f"{network}.safetensors" for network in factors}
    for network, path in files.items():
        save_file(factors[network], path)
    sets = {}
    for name, networks, scale in (("unet", ["unet"], 1.0), ("prior", ["prior"], 1.0), ("both", ["unet", "prior"], 1.0),
                                  ("weak", ["unet", "prior"], -0.5)):
        sets[name] = AdapterSet({network: files[network] for network in networks}, scale,
                                {network: merge(plain[network], factors[network], scale) for network in networks})
    return sets


# ---- what diffusers loads by itself ----

def lora_parameters(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter for name, parameter in network.named_parameters() if ".lora_" in name}


def load(network: torch.nn.Module, source: pathlib.Path | dict, prefix: str | None = None, scale: float = 1.0,
         tensors: int = 0) -> torch.nn.Module:
    """diffusers' network with a file of adapters, all of them: `tensors`, or as many as the file has."""
    loaded = copy.deepcopy(network)
    if isinstance(source, dict):
        loaded.load_lora_adapter(source, prefix=prefix, adapter_name="set")
    else:
        loaded.load_lora_adapter(source.parent, prefix=prefix, weight_name=source.name, adapter_name="set")
        tensors = tensors or len(load_file(source))
    if len(lora_parameters(loaded)) != tensors:
        raise SystemExit(f"diffusers took {len(lora_parameters(loaded))} of {tensors} tensors of {source}")
    loaded.set_adapters("set", scale)
    return loaded


def adapted_layers(network: torch.nn.Module) -> list[str]:
    return [key.removesuffix("_lora.down.weight").replace(".processor.", ".").replace(".to_out", ".to_out.0")
            for key in make_adapters(network, 0) if key.endswith(".down.weight")]


def with_peft(network: torch.nn.Module, seed: int, **config: object) -> torch.nn.Module:
    """diffusers' own adapters on the attention layers, with random values."""
    adapted = copy.deepcopy(network)
    adapted.add_adapter(LoraConfig(r=RANK, target_modules=adapted_layers(network), **config), "set")
    generator = torch.Generator().manual_seed(seed)
    for parameter in lora_parameters(adapted).values():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter.shape[1]**0.5)
    return adapted


def saved_set(plain: Networks, folder: pathlib.Path, scale: float, **config: object) -> AdapterSet:
    """Saved with save_lora_adapter. Two layers have a rank and a strength of their own."""
    result = AdapterSet(scale=scale)
    for seed, (name, network) in enumerate(plain.items()):
        first, second = adapted_layers(network)[:2]
        with_peft(network, seed, rank_pattern={first: 2}, alpha_pattern={second: 5.0},
                  **config).save_lora_adapter(folder / name, adapter_name="set")
        result.files[name] = folder / name / WEIGHTS
        result.networks[name] = load(network, result.files[name], scale=scale)
    return result


def one_file_set(plain: Networks, folder: pathlib.Path) -> AdapterSet:
    """Both networks in one file, as pipelines save them: each key begins with its network's name."""
    adapted = {name: with_peft(network, seed, lora_alpha=3) for seed, (name, network) in enumerate(plain.items())}
    layers = {name: get_peft_model_state_dict(network, adapter_name="set") for name, network in adapted.items()}
    metadata = {name: network.peft_config["set"].to_dict() for name, network in adapted.items()}
    for config in metadata.values():
        config["target_modules"] = sorted(config["target_modules"])
    StableDiffusionLoraLoaderMixin._save_lora_weights(folder, layers, metadata)
    path = folder / WEIGHTS
    return AdapterSet(dict.fromkeys(plain, path), 1.0, {name: load(network, path, prefix=name, tensors=len(layers[name]))
                                                        for name, network in plain.items()})


def dotted_set(plain: Networks, folder: pathlib.Path) -> AdapterSet:
    result = AdapterSet(scale=1.0)
    for name, network in plain.items():
        factors = {key.replace(".processor.", ".").replace(".to_out_", ".to_out.0_").replace("_lora.", ".lora."): value
                   for key, value in make_adapters(network, 3).items()}
        result.files[name] = folder / f"{name}.safetensors"
        save_file(factors, result.files[name])
        result.networks[name] = load(network, result.files[name])
    return result


def kohya_set(plain: Networks, folder: pathlib.Path) -> AdapterSet:
    """With an alpha of 1.5 for each layer; diffusers translates no names of added projections."""
    factors = {}
    for key, value in make_adapters(plain["unet"], 4).items():
        layer, factor = key.replace(".processor.", ".").split("_lora.", 1)
        if "add_" in layer:
            continue
        flat = "lora_unet_" + layer.replace(".to_out", ".to_out.0").replace(".", "_")
        factors[f"{flat}.lora_{factor}"] = value
        factors[f"{flat}.alpha"] = torch.tensor(1.5)
    path = folder / "kohya.safetensors"
    save_file(factors, path)
    state, alphas = StableDiffusionLoraLoaderMixin.lora_state_dict(dict(factors))
    unet = copy.deepcopy(plain["unet"])
    StableDiffusionLoraLoaderMixin.load_lora_into_unet(state, alphas, unet, adapter_name="set")
    if len(lora_parameters(unet)) != len(state):
        raise SystemExit(f"diffusers took {len(lora_parameters(unet))} of {len(state)} tensors of kohya's form")
    return AdapterSet({"unet": path}, 1.0, {"unet": unet})


# ---- what kandinsky-train writes ----

def train(program: pathlib.Path, model: pathlib.Path, data: pathlib.Path, output: pathlib.Path, name: str,
          form: str) -> pathlib.Path:
    target, _ = trained_model_parity.TARGETS[name]
    with torch.enable_grad():
        trained_model_parity.train(program, model, data, output, target, **{
            "prior_path": model / "prior", "decoder_path": model / "decoder", "lora.rank": RANK, "lora.form": form,
            "optimizer.learning_rate": 0.02})
    return output / WEIGHTS


def trained_sets(program: pathlib.Path, model: pathlib.Path, plain: Networks, folder: pathlib.Path) -> dict[str, AdapterSet]:
    trained_model_parity.write_data(folder / "data")
    today, old = AdapterSet(scale=1.0), AdapterSet(scale=1.0)
    for name, network in plain.items():
        today.files[name] = train(program, model, folder / "data", folder / f"{name}-peft", name, "LORA_FORM_PEFT")
        today.networks[name] = load(network, today.files[name])
        checkpoint = folder / f"{name}-peft" / f"checkpoint-{trained_model_parity.STEPS}" / name / WEIGHTS
        load(network, checkpoint)
        old.files[name] = train(program, model, folder / "data", folder / f"{name}-old", name,
                                "LORA_FORM_ATTENTION_PROCESSORS")
        old.networks[name] = merge(network, load_file(old.files[name]), 1.0)
    return {"trained": today, "trained, old form": old}


def make_sets(arguments: argparse.Namespace, model: reference.Model, folder: pathlib.Path,
              root: pathlib.Path) -> dict[str, AdapterSet]:
    plain = {"unet": model.decoder.unet, "prior": model.prior.prior}
    for name in ("peft", "rslora", "one", "trained"):
        (root / name).mkdir()
    return {"": AdapterSet(), **merged_sets(plain, root),
            "peft": saved_set(plain, root / "peft", 0.75, lora_alpha=6),
            "rslora": saved_set(plain, root / "rslora", 1.0, lora_alpha=2, use_rslora=True),
            "one file": one_file_set(plain, root / "one"),
            "dotted": dotted_set(plain, root / "one"),
            "kohya": kohya_set(plain, root / "one"),
            **trained_sets(arguments.train.resolve(), folder, plain, root / "trained")}


def expected_latents(model: reference.Model, sets: dict[str, AdapterSet]) -> dict[str, torch.Tensor]:
    plain = {"unet": model.decoder.unet, "prior": model.prior.prior}
    latents = {}
    for name, adapters in sets.items():
        chosen = plain | adapters.networks
        model.decoder.unet, model.prior.prior = chosen["unet"], chosen["prior"]
        latents[name] = model.generate(REQUEST)["latents"]
    model.decoder.unet, model.prior.prior = plain["unet"], plain["prior"]
    return latents


def identifier(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")


def write_config(path: pathlib.Path, sets: dict[str, AdapterSet]) -> None:
    groups = []
    for name, adapters in sets.items():
        if name:
            paths = " ".join(f'{network}_lora_path: "{file}"' for network, file in adapters.files.items())
            groups.append(f'adapters {{ name: "{identifier(name)}" {paths} scale: {adapters.scale} }}')
    path.write_text("model { " + "\n".join(groups) + " }\n", encoding="utf-8")


def ask(interface, channel, name: str) -> tuple[torch.Tensor, bool]:
    """The latents, and whether a step was kept apart from another request's because of its network."""
    message = wire.Messages(interface, {}).generate({"request": REQUEST}, "OUTPUT_FORMAT_LATENT")
    message.adapter = identifier(name)
    reply = interface.image_stubs.ImageGenerationServiceStub(channel).GenerateImages(message, timeout=240)
    apart = any(reason.reason == "network" for reason in reply.summary.batch.not_merged)
    return torch.tensor(wire.to_array(reply.images[0].latents))[None], apart


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", type=pathlib.Path, required=True)
    parser.add_argument("--train", type=pathlib.Path, required=True)
    parser.add_argument("--golden-dir", type=pathlib.Path, required=True)
    parser.add_argument("--proto", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / "proto")
    arguments = parser.parse_args()
    reference.prepare_torch()
    folder = arguments.golden_dir.resolve() / "models/b"
    model = reference.Model(folder)
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        sets = make_sets(arguments, model, folder, root)
        expected = expected_latents(model, sets)
        write_config(root / "server.textproto", sets)
        (root / "interface").mkdir()
        interface = wire.load_interface(arguments.proto.resolve(), str(root / "interface"))
        with Server(arguments.server.resolve(), folder, root / "server.textproto") as server:
            with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                alone = {name: ask(interface, channel, name) for name in sets}
                with concurrent.futures.ThreadPoolExecutor(len(sets)) as pool:
                    together = dict(zip(sets, pool.map(lambda name: ask(interface, channel, name), sets)))
    failed = not any(apart for _, apart in together.values())
    if failed:
        print("requests sent together never met")
    for name in sets:
        error = reference.relative_l2(alone[name][0], expected[name])
        change = reference.relative_l2(expected[name], expected[""])
        same = torch.equal(together[name][0], alone[name][0])
        wrong = not (error <= TOLERANCE and same and (not name or change >= LEAST_CHANGE))
        failed |= wrong
        print(f"adapters {name or 'none':17} L2 {error:.1e}, together {'the same' if same else 'others'}, "
              f"change of the latents {change:.2f}"
              f"{'  FAILED' if wrong else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
