"""Judges pictures of the tasks beside text to image by their pixels: what was kept, outlines, mixed colors.

Answers come in the form of judge.compare().
"""

import numpy

import judge
import scenes
import task_scenes

FURTHEST_KEPT = 12.0  # of 255, root mean square of what a mask keeps
GROWN = 8  # pixels round a mask that may change: it grows by one latent cell, and the autoencoder blurs
LEAST_OUTLINE = 0.7  # intersection over union of the object's area
MIX_SLACK = 0.08  # of the way from one color to the other


def answers(case: dict, pictures: list[numpy.ndarray], inputs: dict[str, numpy.ndarray]) -> dict[str, bool]:
    """`pictures`: one, of a mix one for each weight, uint8 [64, 64, 3]. `inputs`: what the case's task names."""
    if task_scenes.kind_of(case) == "mix":
        return _mixed(case["expected"], pictures)
    picture = pictures[0]
    result = {}
    if "kept" in case:
        mask = inputs[case["within"]] > 127
        grown = mask.copy()
        for _ in range(GROWN):
            grown = judge.grown(grown)
        difference = picture.astype(float) - inputs[case["kept"]].astype(float)
        result["kept"] = float(numpy.sqrt((difference[~grown] ** 2).mean())) <= FURTHEST_KEPT
        picture = _only(picture, mask)
    if "outline" in case:
        result["outline"] = _outline(picture, inputs[case["outline"]]) >= LEAST_OUTLINE
    result |= judge.compare(picture, case["expected"])
    result["all"] = all(value for name, value in result.items() if name != "all")
    return result


def _only(picture: numpy.ndarray, mask: numpy.ndarray) -> numpy.ndarray:
    """The background everywhere but in the mask."""
    background = judge.background_color(picture.astype(float))
    return numpy.where(mask[..., None], picture, background.round().astype(numpy.uint8))


def _objects_area(picture: numpy.ndarray) -> numpy.ndarray:
    """What differs from the background, bool [64, 64]. Gray pictures too."""
    pixels = (picture if picture.ndim == 3 else numpy.repeat(picture[..., None], 3, 2)).astype(float)
    difference = numpy.linalg.norm(pixels - judge.background_color(pixels), axis=2)
    return difference > max(0.5 * float(numpy.quantile(difference, 0.98)), 20.0)


def _outline(picture: numpy.ndarray, source: numpy.ndarray) -> float:
    ours, theirs = _objects_area(picture), _objects_area(source)
    return float((ours & theirs).sum() / max((ours | theirs).sum(), 1))


def _mixed(expected: dict, pictures: list[numpy.ndarray]) -> dict[str, bool]:
    """Whether the color goes from one to the other, never back, and arrives."""
    begin, end = (numpy.asarray(scenes.COLORS[expected[key]], float) for key in ("from", "to"))
    way = end - begin
    places, ends = [], []
    for picture in pictures:
        parts, _ = judge.see(picture)
        if not parts:
            return {"color": False, "monotone": False, "all": False}
        part = max(parts, key=lambda one: one.area)
        places.append(float((numpy.asarray(part.rgb) - begin) @ way / (way @ way)))
        ends.append(part.color)
    result = {"color": ends[0] == expected["from"] and ends[-1] == expected["to"],
              "monotone": all(after >= before - MIX_SLACK for before, after in zip(places, places[1:]))}
    return result | {"all": all(result.values())}
