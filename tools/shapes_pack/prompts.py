"""Prompts that trained models are judged by, with the scenes that they ask for.

Groups, all in every language:
- "one object": a color and a shape; "one object, placed": also its place, sometimes size and background;
- "held out": color and shape in a combination that no training picture or caption has;
- "two objects": two looks and how they lie to each other; "two objects, held out": both looks held out;
- "negative prompt": a shape, and as negative prompt the same in a color that the object must then not have, or a
  color and a shape, and another look as negative prompt.
"""

import random

import captions
import scenes

# Group to prompts in each language and round.
GROUPS = {"one object": 6, "one object, placed": 6, "held out": 6, "two objects": 4, "two objects, held out": 2,
          "negative prompt": 4}


def expectation(scene: scenes.Scene, mention: captions.Mention) -> dict:
    """What is named, in the form of Scene.describe()."""
    things = [{"color": thing.color if mention.color else None, "shape": thing.shape,
               "size": thing.size if mention.size else None, "cell": thing.cell if mention.cell else None}
              for thing in scene.things]
    return {"background": scene.background if mention.background else None, "things": things,
            "direction": scene.direction if mention.relation else None}


def single(rng: random.Random, look: tuple[str, str]) -> scenes.Scene:
    thing = scenes.make_thing(rng, *look, rng.choice(tuple(scenes.SIZES)), rng.randrange(9))
    return scenes.Scene((thing,), rng.choice(tuple(scenes.BACKGROUNDS)))


def make_prompt(group: str, code: str, index: int, rng: random.Random) -> dict:
    """Prompt, negative prompt and expectation."""
    known = [(color, shape) for color in scenes.COLORS for shape in scenes.SHAPES
             if (color, shape) not in scenes.HELD_OUT]
    if group == "negative prompt":
        return _negative(code, index, rng, rng.choice(known))
    if group.startswith("two objects"):
        scene = scenes.sample_scene(rng, objects=2, held_out=group.endswith("held out"))
        mention = captions.Mention(relation=True)
    else:
        look = scenes.HELD_OUT[index % len(scenes.HELD_OUT)] if group == "held out" else rng.choice(known)
        scene = single(rng, look)
        mention = captions.Mention()
        if group == "one object, placed":
            mention = captions.Mention(cell=True, size=rng.random() < 0.4, background=rng.random() < 0.4)
    return {"prompt": captions.caption(scene, code, mention, rng), "negative_prompt": None,
            "expected": expectation(scene, mention)}


def _negative(code: str, index: int, rng: random.Random, look: tuple[str, str]) -> dict:
    scene = single(rng, look)
    if index % 2 == 0:  # the color only in the negative prompt
        positive, negative = captions.Mention(color=False), captions.Mention()
        expected = expectation(scene, positive)
        expected["things"][0]["not_color"] = scene.things[0].color
        other = scene
    else:
        positive = negative = captions.Mention()
        expected = expectation(scene, positive)
        other = scenes.change(scenes.change(scene, rng, "color"), rng, "shape")
        while scenes.is_held_out(other):
            other = scenes.change(scenes.change(scene, rng, "color"), rng, "shape")
    return {"prompt": captions.caption(scene, code, positive, rng),
            "negative_prompt": captions.caption(other, code, negative, rng), "expected": expected}
