#!/usr/bin/env python3
"""Writes pictures of colored shapes with captions, to train a prior and a decoder with.

Usage: make_dataset.py OUTPUT --count N [--seed S]

OUTPUT/metadata.jsonl has a line for each picture:
- "file_name": the picture, 64 x 64, relative to OUTPUT;
- "text": captions in some of the languages, one each;
- "hint": a map of depth for ControlNet (gray, near is bright);
- "scene": what is to be seen, in the form that judge.py reads.
OUTPUT/looks.jsonl has the pictures of one named object again, with captions that say its look and the background only:
what a network has to learn from its other input is place and size.
The combinations of color and shape that scenes.py holds out do not occur.
"""

import argparse
import json
import pathlib
import time

from PIL import Image

import captions
import scenes
from training_run import add_common_arguments, output_folder


def make_sample(seed: int, index: int, arguments: argparse.Namespace, folder: pathlib.Path) -> dict:
    scene, rng = scenes.scene_of(seed, index, arguments.two_objects, arguments.off_palette)
    codes = rng.sample(tuple(captions.LANGUAGES), arguments.captions)
    texts = [captions.caption(scene, code, captions.sample_mention(scene, rng), rng) for code in codes]
    name = f"{index:06d}.png"
    Image.fromarray(scenes.render(scene)).save(folder / "pictures" / name)
    Image.fromarray(scenes.render_hint(scene, arguments.hint_size)).save(folder / "hints" / name)
    return {"file_name": f"pictures/{name}", "text": texts, "hint": f"hints/{name}", "scene": scene.describe()}


def look_of(sample: dict) -> dict | None:
    """The sample with a caption that many pictures share; None for two objects and for colors without a name."""
    thing, *others = sample["scene"]["things"]
    if others or thing["color"] is None:
        return None
    text = f"{thing['color']} {thing['shape']} on {sample['scene']['background']}"
    return {"file_name": sample["file_name"], "text": text, "hint": sample["hint"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_common_arguments(parser)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--captions", type=int, default=4, help="of each picture, in as many languages")
    parser.add_argument("--two-objects", type=float, default=0.35, help="share of pictures")
    parser.add_argument("--off-palette", type=float, default=0.25,
                        help="share of pictures in random colors that no caption names")
    parser.add_argument("--hint-size", type=int, default=2 * scenes.SIZE,
                        help="pixels, edge of the maps of depth; 8 times the latents of the shapes models")
    arguments = parser.parse_args()
    with output_folder(arguments.output, arguments.force) as folder:
        if folder is None:
            return
        for name in ("pictures", "hints"):
            (folder / name).mkdir(exist_ok=True)
        start = time.monotonic()
        with (open(folder / "metadata.jsonl", "w", encoding="utf-8") as table,
              open(folder / "looks.jsonl", "w", encoding="utf-8") as looks):
            for index in range(arguments.count):
                sample = make_sample(arguments.seed, index, arguments, folder)
                table.write(json.dumps(sample, ensure_ascii=False) + "\n")
                look = look_of(sample)
                if look:
                    looks.write(json.dumps(look) + "\n")
                if (index + 1) % 5000 == 0 or index + 1 == arguments.count:
                    rate = (index + 1) / (time.monotonic() - start)
                    print(f"{index + 1} of {arguments.count} pictures, {rate:.0f} a second", flush=True)


if __name__ == "__main__":
    main()
