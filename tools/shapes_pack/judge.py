#!/usr/bin/env python3
"""Judges pictures of colored shapes by their pixels, without any model.

Usage: judge.py [--count N]    proves the judge

A picture is compared with an expected scene, in the form of scenes.Scene.describe(); what is null or missing does not
matter. An expected thing may also say "not_color" and "not_shape": words that it must not be.

The background is the most frequent color of the border. What differs from it falls into connected parts; each is
compared with every shape of its size and center (overlap of areas, intersection over union), its inner pixels give its
color, and its center its cell. Two objects are told apart by their places: which is the left or the upper one.

The proof judges true pictures, which must pass, and true pictures with the scenes of others, which must not.
"""

import argparse
import collections
import dataclasses
import random

import numpy

import scenes

LEAST_OVERLAP = 0.6  # intersection over union with the expected shape
LEAST_AREA = 25.0  # pixels, of a part that counts as an object
FURTHEST_COLOR = 110.0  # RGB distance from the word's color
QUESTIONS = ("count", "color", "shape", "position", "size", "background", "kept", "outline", "monotone")


@dataclasses.dataclass
class Part:
    """Something in the picture that is not background."""
    rgb: tuple[float, float, float]
    color: str  # the nearest word
    color_distance: float
    shape: str
    overlaps: dict[str, float]
    size: str
    cell: int
    x: float
    y: float
    area: float


# ---- seeing ----------------------------------------------------------------------------------------------------------


def nearest_word(rgb: numpy.ndarray, words: dict[str, tuple[int, int, int]]) -> tuple[str, float]:
    distances = {word: float(numpy.linalg.norm(rgb - numpy.asarray(value, float))) for word, value in words.items()}
    word = min(distances, key=distances.get)
    return word, distances[word]


def background_color(picture: numpy.ndarray) -> numpy.ndarray:
    """The mean of the border's pixels that are close to their median, [3]."""
    border = numpy.concatenate([picture[:3].reshape(-1, 3), picture[-3:].reshape(-1, 3),
                                picture[3:-3, :3].reshape(-1, 3), picture[3:-3, -3:].reshape(-1, 3)])
    distance = numpy.linalg.norm(border - numpy.median(border, axis=0), axis=1)
    return border[distance <= max(numpy.quantile(distance, 0.5), 12.0)].mean(0)


def connected_parts(mask: numpy.ndarray) -> list[numpy.ndarray]:
    """Boolean masks of the parts that hang together, diagonals included."""
    left = mask.copy()
    parts = []
    for row, column in zip(*numpy.nonzero(mask)):
        if not left[row, column]:
            continue
        part = numpy.zeros_like(mask)
        left[row, column] = False
        waiting = [(row, column)]
        while waiting:
            r, c = waiting.pop()
            part[r, c] = True
            for y in range(max(r - 1, 0), min(r + 2, mask.shape[0])):
                for x in range(max(c - 1, 0), min(c + 2, mask.shape[1])):
                    if left[y, x]:
                        left[y, x] = False
                        waiting.append((y, x))
        parts.append(part)
    return parts


def _area_factors() -> dict[str, float]:
    """Area of a shape by the square of its radius."""
    return {shape: float(scenes.coverage(shape, 32, 32, 16).sum()) / 256 for shape in scenes.SHAPES}


_AREA = _area_factors()


def best_overlap(alpha: numpy.ndarray, shape: str, x: float, y: float) -> tuple[float, float, float, float]:
    """The best intersection over union near a center, and its x, y and radius."""
    radius = (alpha.sum() / _AREA[shape]) ** 0.5
    best = (0.0, x, y, radius)

    def attempt(x: float, y: float, r: float) -> None:
        nonlocal best
        template = scenes.coverage(shape, x, y, r)
        overlap = float(numpy.minimum(alpha, template).sum() / numpy.maximum(alpha, template).sum())
        best = max(best, (overlap, x, y, r))

    for scale in (0.9, 0.97, 1.05, 1.15):  # parts at the edge of the picture are cut off
        attempt(x, y, radius * scale)
    for step in (1.0, 0.5):
        _, x, y, r = best
        for dx, dy in ((-step, 0), (step, 0), (0, -step), (0, step), (-step, -step), (step, step)):
            attempt(x + dx, y + dy, r)
    return best


def see(picture: numpy.ndarray) -> tuple[list[Part], str]:
    """The objects of a picture, uint8 [64, 64, 3], and the word for its background."""
    pixels = picture.astype(float)
    background = background_color(pixels)
    difference = numpy.linalg.norm(pixels - background, axis=2)
    parts = []
    for region in connected_parts(difference > 40.0):
        if region.sum() < LEAST_AREA:
            continue
        parts.append(_describe(pixels, background, region))
    return parts, nearest_word(background, scenes.BACKGROUNDS)[0]


def _describe(pixels: numpy.ndarray, background: numpy.ndarray, region: numpy.ndarray) -> Part:
    difference = numpy.linalg.norm(pixels - background, axis=2)
    inner = region & (difference >= 0.75 * numpy.quantile(difference[region], 0.8))
    rgb = numpy.median(pixels[inner], axis=0)
    color, distance = nearest_word(rgb, scenes.COLORS)
    # How much of the object's color every pixel has, near the part only.
    away = rgb - background
    alpha = numpy.clip(((pixels - background) @ away) / max(float(away @ away), 1.0), 0, 1) * grown(region)
    ys, xs = numpy.mgrid[:scenes.SIZE, :scenes.SIZE] + 0.5
    x, y = float((alpha * xs).sum() / alpha.sum()), float((alpha * ys).sum() / alpha.sum())
    fits = {shape: best_overlap(alpha, shape, x, y) for shape in scenes.SHAPES}
    shape = max(fits, key=lambda name: fits[name][0])
    _, x, y, radius = fits[shape]
    size = min(scenes.SIZES, key=lambda name: abs(scenes.SIZES[name] - radius))
    column, row = (int(numpy.argmin([abs(center - value) for center in scenes.CELL_CENTERS])) for value in (x, y))
    return Part(tuple(rgb), color, distance, shape, {name: fit[0] for name, fit in fits.items()}, size, 3 * row + column, x, y,
                float(alpha.sum()))


def grown(region: numpy.ndarray) -> numpy.ndarray:
    padded = numpy.pad(region, 1)
    height, width = region.shape
    return numpy.any([padded[y:y + height, x:x + width] for y in range(3) for x in range(3)], axis=0)


# ---- comparing -------------------------------------------------------------------------------------------------------


def compare(picture: numpy.ndarray, expected: dict) -> dict[str, bool]:
    """An answer for each of QUESTIONS that the scene asks; "all" says whether every one is yes."""
    parts, background = see(picture)
    things = expected["things"]
    answers = {"count": len(parts) == len(things)}
    pairs = list(zip(things, _in_order(parts, expected)))
    complete = len(pairs) == len(things)

    def ask(question: str, keys: tuple[str, ...], right) -> None:
        asked = [(thing, part) for thing, part in pairs if any(thing.get(key) is not None for key in keys)]
        if any(thing.get(key) is not None for thing in things for key in keys):
            answers[question] = complete and all(right(thing, part) for thing, part in asked)

    ask("color", ("color", "not_color"), _color_right)
    ask("shape", ("shape", "not_shape"), _shape_right)
    ask("position", ("cell",), lambda thing, part: part.cell == thing["cell"])
    ask("size", ("size",), lambda thing, part: part.size == thing["size"])
    if len(things) == 2 and expected.get("direction"):
        right = len(parts) == 2 and _direction(parts) == expected["direction"]
        answers["position"] = answers.get("position", True) and right
    if expected.get("background"):
        answers["background"] = background == expected["background"]
    answers["all"] = all(answers.values())
    return answers


def _direction(parts: list[Part]) -> str:
    return "beside" if abs(parts[0].x - parts[1].x) > abs(parts[0].y - parts[1].y) else "above"


def _in_order(parts: list[Part], expected: dict) -> list[Part]:
    """As many of the largest parts as are expected, the left or upper one first.

    Two that may stand anywhere ("unordered") are put in the order that fits better.
    """
    chosen = sorted(parts, key=lambda part: -part.area)[:len(expected["things"])]
    if len(chosen) == 2:
        direction = _direction(chosen)
        chosen.sort(key=lambda part: part.x if direction == "beside" else part.y)
        if expected.get("unordered"):
            chosen = max((chosen, chosen[::-1]), key=lambda order: sum(
                _color_right(thing, part) + _shape_right(thing, part)
                for thing, part in zip(expected["things"], order)))
    return chosen


def _color_right(thing: dict, part: Part) -> bool:
    close = part.color_distance <= FURTHEST_COLOR
    if thing.get("color") and not (close and part.color == thing["color"]):
        return False
    return not (thing.get("not_color") and close and part.color == thing["not_color"])


def _shape_right(thing: dict, part: Part) -> bool:
    shape = thing.get("shape")
    if shape and not (part.shape == shape and part.overlaps[shape] >= LEAST_OVERLAP):
        return False
    return not (thing.get("not_shape") and part.shape == thing["not_shape"])


# ---- tables ----------------------------------------------------------------------------------------------------------


def _share(answers: list[dict[str, bool]], question: str) -> float | None:
    values = [answer[question] for answer in answers if question in answer]
    return sum(values) / len(values) if values else None


class Table:
    """Counts answers by group."""

    def __init__(self) -> None:
        self._answers: dict[str, list[dict[str, bool]]] = collections.defaultdict(list)

    def add(self, group: str, answers: dict[str, bool]) -> None:
        self._answers[group].append(answers)

    def share(self, group: str, question: str) -> float | None:
        return _share(self._answers[group], question)

    def lines(self, together: bool) -> list[str]:
        """A Markdown table; percentages of those pictures where the question was asked. `together`: a last line."""
        asked = {question for answers in self._answers.values() for answer in answers for question in answer}
        columns = [question for question in QUESTIONS if question in asked] + ["all"]
        lines = ["| group | pictures | " + " | ".join(columns) + " |", "|---|---|" + "---|" * len(columns)]
        groups = dict(self._answers)
        if together:
            groups["together"] = [answers for group in groups.values() for answers in group]
        for group, answers in groups.items():
            shares = [_share(answers, question) for question in columns]
            cells = ["" if share is None else f"{100 * share:.1f}" for share in shares]
            lines.append(f"| {group} | {len(answers)} | " + " | ".join(cells) + " |")
        return lines


def self_test(seed: int, count: int) -> bool:
    """True pictures, as they are and a little blurred and noisy, and with scenes that are not theirs."""
    table = Table()
    noise = numpy.random.default_rng(seed)
    wrong = 0
    for objects, group in ((1, "one object"), (2, "two objects")):
        made = [scenes.sample_scene(random.Random(f"self-test {seed} {objects}/{i}"), objects, held_out=i % 8 == 7)
                for i in range(count)]
        for i, scene in enumerate(made):
            picture = scenes.render(scene)
            rough = numpy.clip(picture + noise.normal(0, 8, picture.shape), 0, 255).astype(numpy.uint8)
            other = made[(i + 1) % count].describe()
            table.add(f"{group}, true", compare(picture, scene.describe()))
            table.add(f"{group}, true with noise", compare(rough, scene.describe()))
            table.add(f"{group}, of another scene", compare(picture, other))
            wrong += compare(picture, other)["all"] and other != scene.describe()
    print("\n".join(table.lines(together=False)))
    shares = [table.share(f"{group}, true", "all") for group in ("one object", "two objects")]
    return min(shares) >= 0.99 and wrong == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="pictures of each kind")
    parser.add_argument("--seed", type=int, default=2022)
    arguments = parser.parse_args()
    if not self_test(arguments.seed, arguments.count):
        raise SystemExit("the judge is wrong about true pictures")


if __name__ == "__main__":
    main()
