"""Seconds until the published pair of Kandinsky 2.2 with random weights in half precision is ready to serve, against
those that `cat` takes to read the same files, each from the disk with a cold page cache, in the same run. Prints one
JSON object.

Usage: load_model.py --build BUILD_DIR [--folder FOLDER] [--vision-layers 1] [--rounds 1] [--warm] [--threads 2]

The vision tower has one layer instead of 48, 6.2 GB of files in all: text to image needs nothing of it but one embedding
that it computes while loading. Needs 17 GB of memory, and 6.2 GB of disk in FOLDER, where a model of an earlier run is
used again; without FOLDER it is made and removed. Says "cold": false where the page cache may not be dropped.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests/parity"))
import published_configs as published  # noqa: E402

TOKENIZER = ROOT / "tests/golden/diffusers/models/b/prior/tokenizer"


def make_model(folder, load_model, vision_layers):
    """Writes the pair below `folder`, unless it is there."""
    prior, decoder = folder / "prior", folder / "decoder"
    configs = {
        prior / "prior/config.json": published.PRIOR,
        prior / "text_encoder/config.json": published.TEXT_ENCODER,
        prior / "image_encoder/config.json": dict(published.IMAGE_ENCODER, num_hidden_layers=vision_layers),
        prior / "image_processor/preprocessor_config.json": published.IMAGE_PROCESSOR,
        prior / "scheduler/scheduler_config.json": published.PRIOR_SCHEDULER,
        decoder / "unet/config.json": published.UNET_DECODER,
        decoder / "movq/config.json": published.MOVQ,
        decoder / "scheduler/scheduler_config.json": published.DECODER_SCHEDULER,
    }
    directories = ["--prior", str(prior), "--decoder", str(decoder)]
    if all(path.exists() and json.loads(path.read_text()) == config for path, config in configs.items()):
        return directories
    for path, config in configs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(config), encoding="utf-8")
    shutil.copytree(TOKENIZER, prior / "tokenizer", dirs_exist_ok=True)
    subprocess.run([load_model, *directories, "--make"], check=True)
    return directories


def drop_caches():
    """Whether the next reader finds nothing in the page cache."""
    subprocess.run(["sync"], check=True)
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return False
    return True


def cat_seconds(folder):
    files = sorted(str(path) for path in folder.rglob("*.safetensors"))
    start = time.monotonic()
    subprocess.run(["cat", *files], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - start


def measure(folder, command, rounds, warm):
    best = {"cold": True, "cat_s": float("inf"), "load_s": float("inf"), "peak_gb": 0.0, "resident_gb": 0.0}
    for _ in range(rounds):
        if not warm:
            best["cold"] &= drop_caches()
        best["cat_s"] = min(best["cat_s"], cat_seconds(folder))
        if not warm:
            best["cold"] &= drop_caches()
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        loaded = json.loads(output.splitlines()[-1])
        best["load_s"] = min(best["load_s"], loaded["seconds"])
        best["peak_gb"] = max(best["peak_gb"], loaded["peak_bytes"] / 1e9)
        best["resident_gb"] = loaded["resident_bytes"] / 1e9
    best["cold"] &= not warm
    best["files_gb"] = sum(path.stat().st_size for path in folder.rglob("*.safetensors")) / 1e9
    best["load_per_cat"] = best["load_s"] / best["cat_s"]
    best["peak_per_resident"] = best["peak_gb"] / best["resident_gb"]
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in best.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--vision-layers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--warm", action="store_true", help="leaves the page cache as it is")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    load_model = f"{arguments.build}/benchmarks/load_model"
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or pathlib.Path(temporary)
        directories = make_model(folder, load_model, arguments.vision_layers)
        command = [load_model, *directories, "--threads", str(arguments.threads)]
        print(json.dumps(measure(folder, command, arguments.rounds, arguments.warm)))


if __name__ == "__main__":
    main()
