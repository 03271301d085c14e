#!/usr/bin/env python3
"""Trains a tiny model for a few steps and loads what comes out with diffusers: every file, no weight missing or left over.

Usage: trained_model_parity.py --train KANDINSKY_TRAIN --make-tiny-model KANDINSKY_MAKE_TINY_MODEL
"""

import reference  # before torch: it says how idle threads wait

import argparse
import json
import pathlib
import subprocess
import tempfile

import torch
from diffusers import KandinskyV22Pipeline, KandinskyV22PriorPipeline, PriorTransformer, UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file

STEPS = 3
TARGETS = {"prior": ("TRAINING_TARGET_PRIOR", PriorTransformer), "unet": ("TRAINING_TARGET_DECODER", UNet2DConditionModel)}


def write_data(folder: pathlib.Path) -> None:
    folder.mkdir()
    rows = []
    for i, color in enumerate(["red", "green", "blue", "white"]):
        Image.new("RGB", (64, 64), color).save(folder / f"{i}.png")
        rows.append(json.dumps({"file_name": f"{i}.png", "text": f"{color} wall"}))
    (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


def load_strictly(network: type, folder: pathlib.Path) -> torch.nn.Module:
    loaded, info = network.from_pretrained(folder, output_loading_info=True)
    problems = {kind: names for kind, names in info.items() if names}
    if problems:
        raise SystemExit(f"{folder.name}: diffusers found {problems}")
    return loaded


def train(program: pathlib.Path, model: pathlib.Path, data: pathlib.Path, output: pathlib.Path, target: str,
          **further: object) -> None:
    """`further`: more fields of the configuration, or other values."""
    settings = {"decoder_path": model, "data.path": data, "data.resolution": 64, "output_folder": output,
                "max_steps": STEPS, "batch_size": 2, "target": target, "ema.decay": 0.9, "threads": 1} | further
    command = [str(program)]
    for path, value in settings.items():
        command += ["--set", f"{path}={value}"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def check(name: str, output: pathlib.Path) -> None:
    """The average of the checkpoint is what the finished model holds, and both load."""
    checkpoint = output / f"checkpoint-{STEPS}"
    network = TARGETS[name][1]
    load_strictly(network, checkpoint / name)
    average = load_strictly(network, checkpoint / f"{name}_ema")
    pipelines = {"prior": KandinskyV22PriorPipeline.from_pretrained(output / "model/prior"),
                 "unet": KandinskyV22Pipeline.from_pretrained(output / "model/decoder")}
    finished = getattr(pipelines[name], name)
    for key, value in average.state_dict().items():
        if not torch.equal(value, finished.state_dict()[key]):
            raise SystemExit(f"{name}: {key} differs between the checkpoint's average and the finished model")
    optimizer = load_file(checkpoint / "optimizer.safetensors")
    if not any(key.startswith("exp_avg.") for key in optimizer):
        raise SystemExit(f"{name}: no optimizer state in the checkpoint")
    print(f"trained {name}: checkpoint, average and finished model load, {len(average.state_dict())} tensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=pathlib.Path, required=True)
    parser.add_argument("--make-tiny-model", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    reference.prepare_torch()
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        subprocess.run([str(arguments.make_tiny_model), str(root / "model")], check=True)
        write_data(root / "data")
        for name, (target, _) in TARGETS.items():
            train(arguments.train, root / "model", root / "data", root / name, target)
            check(name, root / name)


if __name__ == "__main__":
    main()
