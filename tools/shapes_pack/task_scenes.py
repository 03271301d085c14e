"""Cases of the tasks beside text to image, by which trained models are judged: requests, their pictures, expectations.

Groups, all in every language:
- "inpaint": the mask covers the half of the picture that one of two objects stands in, or the cell of the only one;
  the prompt describes the whole picture with another look for it;
- "image to image, low strength": the prompt names another color; "high strength": it names another scene;
- "mix": two texts that differ in the color alone, at five weights;
- "control_net": a map of depth, and a prompt with a color and the map's shape.
"""

import random

import numpy

import captions
import scenes

# Group to cases in each language and round.
GROUPS = {"inpaint": 4, "image to image, low strength": 2, "image to image, high strength": 2, "mix": 2,
          "control_net": 3}
MASK_REACH = 16  # pixels from the middle of an object's cell
LOW_STRENGTH, HIGH_STRENGTH = 0.25, 1.0
MIX_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the second text

PLACED = captions.Mention(cell=True)


def kind_of(case: dict) -> str:
    """The task's name in the request, "text_to_image" where it says none."""
    return case.get("task", {}).get("kind", "text_to_image")


def other_color(rng: random.Random, scene: scenes.Scene) -> scenes.Scene:
    """Another color for the first object, in a combination that was trained."""
    other = scenes.change(scene, rng, "color")
    while scenes.is_held_out(other):
        other = scenes.change(scene, rng, "color")
    return other


def other_look(rng: random.Random, thing: scenes.Thing) -> scenes.Thing:
    """Another color and another shape in the same place, a combination that was trained."""
    while True:
        color, shape = scenes.sample_look(rng, held_out=False)
        if color != thing.color and shape != thing.shape:
            return scenes.make_thing(rng, color, shape, thing.size, thing.cell)


def mask_of(scene: scenes.Scene, which: int) -> numpy.ndarray:
    """uint8 [64, 64], white over one of two objects' half of the picture, or over the cell of the only object."""
    mask = numpy.zeros((scenes.SIZE, scenes.SIZE), numpy.uint8)
    half = slice(0, scenes.SIZE // 2) if which == 0 else slice(scenes.SIZE // 2, scenes.SIZE)
    if scene.direction == "beside":
        mask[:, half] = 255
    elif scene.direction == "above":
        mask[half] = 255
    else:
        cell = scene.things[which].cell
        x, y = (int(scenes.CELL_CENTERS[i]) for i in (cell % 3, cell // 3))
        mask[max(y - MASK_REACH, 0):y + MASK_REACH, max(x - MASK_REACH, 0):x + MASK_REACH] = 255
    return mask


def make_case(group: str, code: str, index: int, rng: random.Random) -> tuple[dict, dict[str, numpy.ndarray]]:
    """A case, and the pictures that its task names."""
    scene = scenes.sample_scene(rng, 2 if group == "inpaint" and index % 2 == 0 else 1)
    if group == "inpaint":
        return _inpaint(scene, code, rng)
    if group.startswith("image to image"):
        return _image_to_image(scene, code, group.endswith("low strength"), rng)
    if group == "mix":
        return _mix(scene, code, rng)
    thing = scene.things[0]
    prompt = captions.caption(scene, code, captions.Mention(), rng)
    case = {"prompt": prompt, "task": {"kind": "control_net", "depth_image": "hint"},
            "expected": {"things": [{"color": thing.color}]}, "outline": "hint"}
    return case, {"hint": scenes.render_hint(scene)}


def _inpaint(scene: scenes.Scene, code: str, rng: random.Random) -> tuple[dict, dict[str, numpy.ndarray]]:
    masked = rng.randrange(len(scene.things))
    things = list(scene.things)
    things[masked] = other_look(rng, things[masked])
    wanted = scenes.Scene(tuple(things), scene.background)
    mention = captions.Mention(relation=len(things) == 2, cell=len(things) == 1, background=True)
    target = {"color": things[masked].color, "shape": things[masked].shape}
    case = {"prompt": captions.caption(wanted, code, mention, rng),
            "task": {"kind": "inpaint", "image": "image", "mask": "mask"},
            "expected": {"things": [target]}, "within": "mask", "kept": "image"}
    return case, {"image": scenes.render(scene), "mask": mask_of(scene, masked)}


def _image_to_image(scene: scenes.Scene, code: str, low: bool,
                    rng: random.Random) -> tuple[dict, dict[str, numpy.ndarray]]:
    task = {"kind": "image_to_image", "image": "image", "strength": LOW_STRENGTH if low else HIGH_STRENGTH}
    if low:
        wanted = other_color(rng, scene)
        case = {"expected": {"things": [{"shape": scene.things[0].shape, "cell": scene.things[0].cell}]}}
    else:
        things = (scenes.make_thing(rng, *scenes.sample_look(rng, False), "large",
                                    rng.choice([c for c in range(9) if c != scene.things[0].cell])),)
        wanted = scenes.Scene(things, scene.background)
        case = {"expected": {"things": [{"color": things[0].color, "shape": things[0].shape,
                                         "cell": things[0].cell}]}}
    prompt = captions.caption(wanted, code, PLACED, rng)
    return {"prompt": prompt, "task": task, **case}, {"image": scenes.render(scene)}


def _mix(scene: scenes.Scene, code: str, rng: random.Random) -> tuple[dict, dict[str, numpy.ndarray]]:
    other = other_color(rng, scene)
    mention = captions.Mention(cell=True, size=True, background=True)  # all that the two have in common
    texts = [captions.caption(each, code, mention, rng) for each in (scene, other)]
    case = {"prompt": "", "task": {"kind": "mix", "texts": texts, "weights": list(MIX_WEIGHTS)},
            "expected": {"from": scene.things[0].color, "to": other.things[0].color}}
    return case, {}
