#!/usr/bin/env python3
"""Compares the server with diffusers on one model whose files lie as various tools and versions leave them.

Usage: model_files_parity.py --server BINARY --golden-dir DIR

DIR is a folder of make_goldens.py, of which one tiny model is used. Each layout is written by diffusers' and transformers'
own save_pretrained, or renamed from that to what earlier versions wrote, and then read by diffusers and by the server:
latents and the embedding of a picture that is not square must agree. Ends with an exit code other than 0 when one fails.
"""

import reference  # before torch: it says how idle threads wait

import argparse
import hashlib
import io
import json
import os
import pathlib
import re
import tempfile
from typing import Callable

import grpc
import numpy
import torch
from PIL import Image
from transformers import CLIPImageProcessor

import wire
from server_process import Server

TOLERANCES = {"latents": 1e-4, "embedding": 1e-5}  # relative L2
REQUEST = {"prompt": "red cat, 4k photo", "width": 64, "height": 64, "steps": 4, "prior_steps": 3, "seeds": [7]}
SHARD_BYTES = 100_000  # every network of the tiny model has several
REVISION = "0123456789abcdef0123456789abcdef01234567"


def save(model: reference.Model, folder: pathlib.Path, variant: str | None = None, shards: bool = True) -> None:
    for name, pipeline in (("prior", model.prior), ("decoder", model.decoder)):
        pipeline.save_pretrained(folder / name, variant=variant, max_shard_size=SHARD_BYTES if shards else None)


def plain(model: reference.Model, folder: pathlib.Path) -> None:
    save(model, folder, shards=False)


def half(model: reference.Model, folder: pathlib.Path) -> None:
    save(model, folder, variant="fp16", shards=False)


def sharded(model: reference.Model, folder: pathlib.Path) -> None:
    save(model, folder)


def half_sharded(model: reference.Model, folder: pathlib.Path) -> None:
    save(model, folder, variant="fp16")


def half_sharded_before(model: reference.Model, folder: pathlib.Path) -> None:
    """The names that diffusers wrote up to 0.31."""
    half_sharded(model, folder)
    renamed = 0
    for index in folder.rglob("diffusion_pytorch_model.safetensors.index.fp16.json"):
        content = json.loads(index.read_text(encoding="utf-8"))
        names = {name: re.sub(r"\.fp16(-\d+-of-\d+)\.safetensors$", r"\1.fp16.safetensors", name)
                 for name in content["weight_map"].values()}
        for old, new in names.items():
            (index.parent / old).rename(index.parent / new)
        content["weight_map"] = {tensor: names[shard] for tensor, shard in content["weight_map"].items()}
        index.unlink()
        index.with_name("diffusion_pytorch_model.safetensors.fp16.index.json").write_text(json.dumps(content), encoding="utf-8")
        renamed += len(names)
    if renamed < 6:
        raise SystemExit("no shards to rename")


def hub_cache(write: Callable) -> Callable:
    """The files of `write` as huggingface_hub keeps them; prior and decoder are links to the snapshots."""
    def make(model: reference.Model, folder: pathlib.Path) -> None:
        write(model, folder / "downloaded")
        for name in ("prior", "decoder"):
            repository = folder / "hub" / f"models--someone--{name}"
            (repository / "blobs").mkdir(parents=True)
            for file in sorted(path for path in (folder / "downloaded" / name).rglob("*") if path.is_file()):
                blob = repository / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
                link = repository / "snapshots" / REVISION / file.relative_to(folder / "downloaded" / name)
                link.parent.mkdir(parents=True, exist_ok=True)
                file.rename(blob)
                link.symlink_to(os.path.relpath(blob, link.parent))
            (folder / name).symlink_to(repository / "snapshots" / REVISION)
    return make


def squeezed(model: reference.Model, folder: pathlib.Path) -> None:
    """A processor whose size is a height and a width: pictures are squeezed, not cropped."""
    plain(model, folder)
    edge = model.prior.image_processor.crop_size["height"]
    square = {"height": edge, "width": edge}
    CLIPImageProcessor(size=square, crop_size=square).save_pretrained(folder / "prior/image_processor")


# Name to what writes it, and the variant that diffusers is asked for.
LAYOUTS = {"plain": (plain, None), "half": (half, "fp16"), "sharded": (sharded, None),
           "half, sharded": (half_sharded, "fp16"), "half, sharded, earlier": (half_sharded_before, "fp16"),
           "hub cache": (hub_cache(sharded), None), "hub cache, half": (hub_cache(half_sharded), "fp16"),
           "squeezed": (squeezed, None)}


def picture() -> Image.Image:
    generator = numpy.random.default_rng(5)
    return Image.fromarray(generator.integers(0, 256, (40, 90, 3), dtype=numpy.uint8))


def expected(folder: pathlib.Path, variant: str | None) -> dict[str, torch.Tensor]:
    model = reference.Model(folder, variant)
    pixels = model.prior.image_processor(picture(), return_tensors="pt").pixel_values
    return {"latents": model.generate(REQUEST)["latents"], "embedding": model.prior.image_encoder(pixels).image_embeds}


def answered(server: pathlib.Path, interface, folder: pathlib.Path) -> dict[str, torch.Tensor]:
    encoded = io.BytesIO()
    picture().save(encoded, "PNG")
    with Server(server, folder) as running, grpc.insecure_channel(f"127.0.0.1:{running.port}") as channel:
        message = wire.Messages(interface, {}).generate({"request": reference.DEFAULTS | REQUEST}, "OUTPUT_FORMAT_LATENT")
        image = interface.image_stubs.ImageGenerationServiceStub(channel).GenerateImages(message, timeout=240).images[0]
        request = interface.embedding.EmbedImagesRequest(images=[encoded.getvalue()])
        reply = interface.embedding_stubs.EmbeddingServiceStub(channel).EmbedImages(request, timeout=240)
    return {"latents": torch.tensor(wire.to_array(image.latents))[None],
            "embedding": torch.tensor(list(reply.embeddings[0].values))[None]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", type=pathlib.Path, required=True)
    parser.add_argument("--golden-dir", type=pathlib.Path, required=True)
    parser.add_argument("--proto", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / "proto")
    arguments = parser.parse_args()
    reference.prepare_torch()
    failed = False
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        (root / "interface").mkdir()
        interface = wire.load_interface(arguments.proto.resolve(), str(root / "interface"))
        model = reference.Model(arguments.golden_dir.resolve() / "models/b")
        for name, (write, variant) in LAYOUTS.items():
            folder = root / name.replace(" ", "_")
            write(model, folder)
            results[name] = expected(folder, variant)
            answer = answered(arguments.server.resolve(), interface, folder)
            errors = {key: reference.relative_l2(answer[key], results[name][key]) for key in TOLERANCES}
            wrong = any(not error <= TOLERANCES[key] for key, error in errors.items())
            failed |= wrong
            print(f"model files {name:22} " + ", ".join(f"{key} L2 {error:.1e}" for key, error in errors.items())
                  + ("  FAILED" if wrong else ""))
    if reference.relative_l2(results["squeezed"]["embedding"], results["plain"]["embedding"]) < 0.01:
        print("squeezing changes nothing: the picture is not suited")
        failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
