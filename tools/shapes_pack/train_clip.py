#!/usr/bin/env python3
"""Trains the CLIP towers of the shapes models and writes the folder `prior` of the published layout.

Usage: train_clip.py OUTPUT [--steps N] [--seed S]

OUTPUT gets the tokenizer, the text and the vision tower, and an untrained PriorTransformer that has the mean and the
spread of the image embeddings (clip_mean, clip_std). All weights are in half precision. OUTPUT/accuracy.json tells how
often the towers find the right caption of several that differ in one word.

What makes towers of this size understand combinations of color and shape:
- the text tower first learns to read: from captions alone it tells what they say, which is right of what included;
- every batch has groups of pictures that differ in one attribute (or in the places of two objects) from each other;
- a caption that happens to fit another picture of the batch does not count against it;
- linear heads, used in training only, read all attributes from the embeddings of both towers;
- almost half of the pictures are in random colors that no caption names;
- the vision tower begins with position embeddings that are as large as the patches' and change smoothly over the
  picture; with the usual tiny random ones it learned colors and shapes but no places.
"""

import argparse
import json
import math
import pathlib
import random

from training_run import (CLIP_MEAN, CLIP_STD, Average, Checkpoint, Progress, add_training_arguments, output_folder,
                          prepare_torch, published_configs, save_component, to_pixels, write_json)  # before torch

import torch
from diffusers import PriorTransformer
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPVisionConfig, CLIPVisionModelWithProjection

import captions
import scenes
from tokenizer import load_tokenizer, write_tokenizer

EMBEDDING = 128
GROUPS, GROUP = 16, 5
TWO_OBJECTS, OFF_PALETTE = 0.4, 0.45
READ_TEXTS = 240  # in a batch of captions alone
COLOR_SCALE = 255.0

PRIOR_CONFIG = dict(published_configs.PRIOR, embedding_dim=EMBEDDING, num_attention_heads=4, attention_head_dim=32,
                    num_layers=4)
VISION_CONFIG = dict(published_configs.IMAGE_ENCODER, hidden_size=EMBEDDING, intermediate_size=2 * EMBEDDING,
                     num_attention_heads=4, num_hidden_layers=3, projection_dim=EMBEDDING, image_size=scenes.SIZE,
                     patch_size=8)
PROCESSOR_CONFIG = dict(published_configs.IMAGE_PROCESSOR, size={"shortest_edge": scenes.SIZE},
                        crop_size={"height": scenes.SIZE, "width": scenes.SIZE})


def text_config(vocabulary: int) -> dict:
    return dict(published_configs.TEXT_ENCODER, hidden_size=EMBEDDING, intermediate_size=2 * EMBEDDING,
                num_attention_heads=4, num_hidden_layers=2, projection_dim=EMBEDDING, vocab_size=vocabulary)


# ---- batches ---------------------------------------------------------------------------------------------------------


def sample_group(rng: random.Random) -> tuple[list[scenes.Scene], list[captions.Mention], str]:
    """Scenes of which the others differ from the first in something that the captions name."""
    code = rng.choice(tuple(captions.LANGUAGES))
    base = scenes.sample_scene(rng, 2 if rng.random() < TWO_OBJECTS else 1, rng.random() < OFF_PALETTE)
    mention = captions.sample_mention(base, rng)
    attributes = ["shape"] * 3 + ["color"] * 2 * mention.color + ["size"] * mention.size
    attributes += ["cell"] * 2 * mention.cell + ["background"] * mention.background + ["swap"] * 5 * mention.relation
    group, known = [base], {tuple(captions.scene_codes(base))}
    while len(group) < GROUP:
        which = rng.randrange(len(base.things))
        scene = scenes.change(base, rng, rng.choice(attributes), which)
        codes = tuple(captions.scene_codes(scene))
        if not scenes.is_held_out(scene) and (codes not in known or rng.random() < 0.1):
            group.append(scene)
            known.add(codes)
    return group, [mention] * GROUP, code


class Batch:
    """Pictures with a caption each, for one step of training."""

    def __init__(self, seed: int, step: int, tokenizer) -> None:
        rng = random.Random(f"clip {seed}/{step}")
        pictures, texts, spoken, seen, unordered = [], [], [], [], []
        for _ in range(GROUPS):
            group, mentions, code = sample_group(rng)
            for scene, mention in zip(group, mentions):
                pictures.append(scene)
                texts.append(captions.caption(scene, code, mention, rng))
                spoken.append(captions.mention_codes(scene, mention))
                seen.append(captions.scene_codes(scene))
                unordered.append(captions.is_unordered(scene, mention))
        self.pixels = (to_pixels([scenes.render(scene) for scene in pictures]) - CLIP_MEAN) / CLIP_STD
        self.tokens = tokenizer(texts, padding="longest", return_tensors="pt").input_ids
        self.seen = torch.tensor(seen)
        self.spoken = torch.tensor(spoken)
        self.unordered = torch.tensor(unordered)
        self.rgb = torch.tensor([[*scene.things[0].rgb, *scene.things[-1].rgb] for scene in pictures]) / COLOR_SCALE

    def matches(self) -> torch.Tensor:
        """Whether caption i fits picture j."""
        swapped = torch.tensor([captions.exchanged(codes) for codes in self.seen.tolist()])
        return _fits(self.spoken, self.seen) | (self.unordered[:, None] & _fits(self.spoken, swapped))

    def text_targets(self) -> torch.Tensor:
        """What the heads shall read from the texts; UNNAMED where a text leaves it open."""
        targets = self.spoken.clone()
        targets[self.unordered, captions.ATTRIBUTES.index("color"):] = captions.UNNAMED
        return targets


class ReadingBatch:
    """Captions by themselves, for the first steps: the text tower learns to read before it is shown pictures."""

    def __init__(self, seed: int, step: int, tokenizer) -> None:
        rng = random.Random(f"reading {seed}/{step}")
        texts, targets = [], []
        for _ in range(READ_TEXTS):
            scene = scenes.sample_scene(rng, 2 if rng.random() < 0.7 else 1, rng.random() < 0.1)
            mention = captions.sample_mention(scene, rng)
            texts.append(captions.caption(scene, rng.choice(tuple(captions.LANGUAGES)), mention, rng))
            targets.append(captions.mention_codes(scene, mention))
            if captions.is_unordered(scene, mention):
                targets[-1][2:] = [captions.UNNAMED] * (len(targets[-1]) - 2)
        self.tokens = tokenizer(texts, padding="longest", return_tensors="pt").input_ids
        self.targets = torch.tensor(targets)


def _fits(spoken: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    same = spoken[:, None] == seen[None]
    return (same | (spoken == captions.UNNAMED)[:, None]).all(-1)


# ---- training --------------------------------------------------------------------------------------------------------


def first_positions() -> torch.Tensor:
    """Waves along both axes for the patches and zeros for the class token: [1 + patches, E]."""
    patches, frequencies = scenes.SIZE // VISION_CONFIG["patch_size"], EMBEDDING // 4
    places = math.pi * (torch.arange(patches) + 0.5) / patches
    angles = places[:, None] * patches ** torch.linspace(0, 1, frequencies)
    waves = 0.5 * torch.cat([angles.sin(), angles.cos()], 1)
    grid = torch.cat([waves[:, None].expand(-1, patches, -1), waves[None].expand(patches, -1, -1)], 2)
    return torch.cat([torch.zeros(1, EMBEDDING), grid.reshape(patches * patches, EMBEDDING)])


class Towers(torch.nn.Module):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.text = CLIPTextModelWithProjection(CLIPTextConfig(**text_config(vocabulary)))
        self.vision = CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION_CONFIG))
        self.float()
        self.vision.vision_model.embeddings.position_embedding.weight.data.copy_(first_positions())
        self.scale = torch.nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.heads = torch.nn.ModuleDict({name: torch.nn.Linear(EMBEDDING, classes)
                                          for name, classes in captions.CLASSES.items()})
        self.rgb_head = torch.nn.Linear(EMBEDDING, 6)

    def embed(self, texts: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.text(texts).text_embeds, self.vision(pixels).image_embeds


def contrastive_loss(towers: Towers, texts: torch.Tensor, pictures: torch.Tensor,
                     matches: torch.Tensor) -> torch.Tensor:
    logits = functional.normalize(texts, dim=-1) @ functional.normalize(pictures, dim=-1).T
    logits = logits * towers.scale.clamp(max=math.log(100)).exp()
    pairs = torch.eye(len(texts), dtype=torch.bool)
    logits = logits.masked_fill(matches & ~pairs, -torch.inf)
    target = torch.arange(len(texts))
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2


def heads_losses(towers: Towers, embeddings: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
    """By attribute; off-palette colors have no class."""
    losses = {}
    for i, (name, head) in enumerate(towers.heads.items()):
        target = targets[:, i]
        if name.startswith("color"):
            target = target.masked_fill(target == captions.OFF_PALETTE, captions.UNNAMED)
        known = (target != captions.UNNAMED).sum().clamp(min=1)
        losses[name] = functional.cross_entropy(head(embeddings), target, ignore_index=captions.UNNAMED,
                                                reduction="sum") / known
    return losses


def mean(losses: dict[str, torch.Tensor]) -> torch.Tensor:
    return sum(losses.values()) / len(losses)


def learning_rate(step: int, steps: int, peak: float, warmup: int) -> float:
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (0.02 + 0.98 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))) / 2)


def step_learning_rate(arguments: argparse.Namespace, step: int) -> float:
    if step < arguments.reading_steps:
        return learning_rate(step, arguments.reading_steps, 2 * arguments.learning_rate, 100)
    return learning_rate(step - arguments.reading_steps, arguments.steps - arguments.reading_steps,
                         arguments.learning_rate, 100)


def step_loss(towers: Towers, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
    """The loss of a batch of pictures with captions, and parts of it to report."""
    texts, pictures = towers.embed(batch.tokens, batch.pixels)
    contrast = contrastive_loss(towers, texts, pictures, batch.matches())
    picture_heads = heads_losses(towers, pictures, batch.seen)
    text_heads = mean(heads_losses(towers, texts, batch.text_targets()))
    colors = (towers.rgb_head(pictures) - batch.rgb).abs().mean()
    report = {"contrast": contrast.item(), "texts": text_heads.item(), "colors": colors.item()}
    report |= {name: picture_heads[name].item() for name in ("color", "shape", "cell", "shape_2")}
    return contrast + 2 * mean(picture_heads) + text_heads + 2 * colors, report


def train(arguments: argparse.Namespace, folder: pathlib.Path, tokenizer) -> Towers:
    towers = Towers(len(tokenizer))
    print(f"{sum(p.numel() for p in towers.parameters()) / 1e6:.2f} M parameters", flush=True)
    decayed = [p for p in towers.parameters() if p.ndim >= 2]
    others = [p for p in towers.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0}],
                                  betas=(0.9, 0.98), eps=1e-6)
    average = Average(towers, 0.998)
    settings = {"seed": arguments.seed, "steps": arguments.steps, "reading_steps": arguments.reading_steps}
    checkpoint = Checkpoint(folder / "checkpoint.pt", settings,
                            towers=towers, optimizer=optimizer, average=average)
    first = checkpoint.restore()
    progress = Progress(arguments.steps, first, arguments.report_every)
    for step in range(first, arguments.steps):
        if step < arguments.reading_steps:
            batch = ReadingBatch(arguments.seed, step, tokenizer)
            texts = heads_losses(towers, towers.text(batch.tokens).text_embeds, batch.targets)
            loss = mean(texts)
            report = {"texts": loss.item()}
        else:
            loss, report = step_loss(towers, Batch(arguments.seed, step, tokenizer))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(towers.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = step_learning_rate(arguments, step)
        optimizer.step()
        average.update(towers)
        progress.step(step, **report)
        if (step + 1) % arguments.save_every == 0:
            checkpoint.save(step + 1)
    average.copy_to(towers)
    checkpoint.save(arguments.steps)
    return towers.eval()


# ---- judging ---------------------------------------------------------------------------------------------------------


@torch.no_grad()
def choose_accuracy(towers: Towers, tokenizer, seed: int, held_out: bool, objects: int, count: int) -> dict[str, float]:
    """How often the right caption of all that differ in one attribute is the nearest to the picture."""
    mention = captions.Mention(color=True, cell=objects == 1, relation=objects == 2)
    attributes = ("color", "shape", "cell") if objects == 1 else ("color", "shape", "swap")
    scores = {attribute: 0 for attribute in attributes}
    for index in range(count):
        rng = random.Random(f"judge {seed} {held_out} {objects}/{index}")
        scene = scenes.sample_scene(rng, objects, held_out=held_out)
        code = rng.choice(tuple(captions.LANGUAGES))
        texts, starts = [captions.caption(scene, code, mention, rng)], []
        for attribute in attributes:
            starts.append(len(texts))
            texts += [captions.caption(other, code, mention, rng) for other in _others(scene, attribute)]
        tokens = tokenizer(texts, padding="longest", return_tensors="pt").input_ids
        pixels = (to_pixels([scenes.render(scene)]) - CLIP_MEAN) / CLIP_STD
        text_embeds, picture = towers.embed(tokens, pixels)
        likeness = functional.normalize(text_embeds, dim=-1) @ functional.normalize(picture[0], dim=0)
        for attribute, start, end in zip(attributes, starts, starts[1:] + [len(texts)]):
            scores[attribute] += bool((likeness[0] > likeness[start:end]).all())
    return {attribute: score / count for attribute, score in scores.items()}


def _others(scene: scenes.Scene, attribute: str) -> list[scenes.Scene]:
    """The scenes with every other value of one attribute of the first object."""
    rng = random.Random(0)
    found = {}
    for _ in range(120 if attribute != "swap" else 1):
        other = scenes.change(scene, rng, attribute)
        found.setdefault(tuple(captions.scene_codes(other)), other)
    return list(found.values())


def judge(towers: Towers, tokenizer, seed: int, count: int) -> dict:
    result = {}
    for objects in (1, 2):
        for held_out in (False, True):
            name = f"{'one object' if objects == 1 else 'two objects'}, {'held out' if held_out else 'known'}"
            result[name] = choose_accuracy(towers, tokenizer, seed, held_out, objects, count)
            print(f"{name}: " + ", ".join(f"{key} {100 * value:.1f} %" for key, value in result[name].items()),
                  flush=True)
    return result


# ---- writing ---------------------------------------------------------------------------------------------------------


@torch.no_grad()
def embedding_statistics(towers: Towers, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and spread of the image embeddings, [1, E] each."""
    rows = []
    for start in range(0, 4000, 100):
        batch = [scenes.scene_of(f"statistics {seed}", i, TWO_OBJECTS, 0.25)[0] for i in range(start, start + 100)]
        pixels = to_pixels([scenes.render(scene) for scene in batch])
        rows.append(towers.vision((pixels - CLIP_MEAN) / CLIP_STD).image_embeds)
    embeddings = torch.cat(rows)
    return embeddings.mean(0, keepdim=True), embeddings.std(0, keepdim=True).clamp(min=1e-3)


def write_models(folder: pathlib.Path, towers: Towers, seed: int) -> None:
    write_json(folder / "model_index.json", published_configs.PRIOR_MODEL_INDEX)
    write_json(folder / "scheduler" / "scheduler_config.json", published_configs.PRIOR_SCHEDULER)
    write_json(folder / "image_processor" / "preprocessor_config.json", PROCESSOR_CONFIG)
    text = towers.text.state_dict()
    vocabulary = text["text_model.embeddings.token_embedding.weight"].shape[0]
    save_component(folder / "text_encoder", "model", text_config(vocabulary), text)
    save_component(folder / "image_encoder", "model", VISION_CONFIG, towers.vision.state_dict())
    torch.manual_seed(seed)
    prior = PriorTransformer.from_config(PRIOR_CONFIG)
    mean, std = embedding_statistics(towers, seed)
    prior.clip_mean.data.copy_(mean)
    prior.clip_std.data.copy_(std)
    save_component(folder / "prior", "diffusion_pytorch_model", PRIOR_CONFIG, prior.state_dict())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_training_arguments(parser, steps=4000)
    parser.add_argument("--reading-steps", type=int, default=800, help="of all steps the first, with captions alone")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--judge-count", type=int, default=300, help="pictures of every kind")
    arguments = parser.parse_args()
    with output_folder(arguments.output, arguments.force) as folder:
        if folder is None:
            return
        prepare_torch(arguments.seed, arguments.threads)
        write_tokenizer(folder / "tokenizer", arguments.seed)
        tokenizer = load_tokenizer(folder / "tokenizer")
        towers = train(arguments, folder, tokenizer)
        write_models(folder, towers, arguments.seed)
        write_json(folder / "accuracy.json", judge(towers, tokenizer, arguments.seed, arguments.judge_count))
        (folder / "checkpoint.pt").unlink()


if __name__ == "__main__":
    main()
