"""Scenes of one or two colored shapes: their description, deterministic sampling and an anti-aliased renderer.

A picture has 64 x 64 pixels. Its objects sit in the nine cells of a 3 x 3 grid (0 top left, 8 bottom right). A few
combinations of color and shape, HELD_OUT, never occur in training pictures or captions: they show whether a model
understands words or only remembers pictures. "Off-palette" objects have a random color that no caption names; they
let the networks see every shape in colors beyond the palette.
"""

import dataclasses
import random

import numpy

SIZE = 64
COLORS = {"red": (215, 35, 35), "green": (40, 160, 60), "blue": (40, 80, 220), "yellow": (250, 215, 40),
           "orange": (250, 130, 20), "purple": (125, 45, 165), "pink": (245, 140, 195), "turquoise": (45, 200, 195)}
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
SIZES = {"small": 8.0, "large": 12.0}  # radius in pixels
# The names are words of captions that the models learned from, so their spelling stays.
BACKGROUNDS = {"white": (250, 250, 250), "black": (18, 18, 18), "grey": (130, 130, 130)}
CELLS = ("top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right")
CELL_CENTERS = (16.0, 32.0, 48.0)
HELD_OUT = (("red", "star"), ("blue", "triangle"), ("green", "ring"), ("yellow", "cross"), ("purple", "circle"),
            ("orange", "square"))
# Pairs of cells of two objects, the left or upper one first: far enough apart for two large ones.
SIDE_BY_SIDE = ((0, 2), (3, 5), (6, 8))
ONE_ABOVE_THE_OTHER = ((0, 6), (1, 7), (2, 8))

_JITTER = 1.0  # pixels, of the position
_SCALING = 0.04  # relative, of the size
_COLOR_DISTANCE = 70.0  # of an off-palette color from all that have a name


@dataclasses.dataclass(frozen=True)
class Thing:
    """An object: four words and how it was drawn."""
    color: str  # of COLORS; "" is off-palette
    shape: str
    size: str
    cell: int
    rgb: tuple[int, int, int]
    x: float  # of the center, pixels
    y: float
    radius: float


@dataclasses.dataclass(frozen=True)
class Scene:
    """One object, or two with the left or upper one first."""
    things: tuple[Thing, ...]
    background: str

    @property
    def direction(self) -> str:
        """How two objects lie to each other: "beside" or "above"; "" for one object."""
        if len(self.things) < 2:
            return ""
        return "beside" if self.things[0].cell // 3 == self.things[1].cell // 3 else "above"

    def describe(self) -> dict:
        """What the words say, as JSON: the expectation that judge.py compares pictures with."""
        return {"background": self.background, "things": [
            {"color": thing.color or None, "shape": thing.shape, "size": thing.size, "cell": thing.cell}
            for thing in self.things]}


# ---- sampling --------------------------------------------------------------------------------------------------------


def make_thing(rng: random.Random, color: str, shape: str, size: str, cell: int) -> Thing:
    """An object with random deviations from its cell's center and its size; "" draws an off-palette color."""
    radius = SIZES[size] * (1 + rng.uniform(-_SCALING, _SCALING))
    return Thing(color, shape, size, cell, COLORS[color] if color else off_palette_rgb(rng),
                 CELL_CENTERS[cell % 3] + rng.uniform(-_JITTER, _JITTER),
                 CELL_CENTERS[cell // 3] + rng.uniform(-_JITTER, _JITTER), radius)


def off_palette_rgb(rng: random.Random) -> tuple[int, int, int]:
    """A color that is clearly none of the palette and no background."""
    named = list(COLORS.values()) + list(BACKGROUNDS.values())
    while True:
        rgb = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        if all(sum((a - b) ** 2 for a, b in zip(rgb, other)) > _COLOR_DISTANCE ** 2 for other in named):
            return rgb


def sample_look(rng: random.Random, held_out: bool) -> tuple[str, str]:
    """A color and a shape, held out or not."""
    if held_out:
        return rng.choice(HELD_OUT)
    while True:
        look = (rng.choice(tuple(COLORS)), rng.choice(SHAPES))
        if look not in HELD_OUT:
            return look


def sample_scene(rng: random.Random, objects: int = 1, off_palette: bool = False, held_out: bool = False) -> Scene:
    """A scene of one or two objects. `held_out`: all looks are of HELD_OUT instead of none."""
    if objects == 1:
        cells = (rng.randrange(9),)
    else:
        cells = rng.choice(SIDE_BY_SIDE + ONE_ABOVE_THE_OTHER)
    looks = [sample_look(rng, held_out) for _ in cells]
    while len(looks) == 2 and looks[0] == looks[1]:
        looks[1] = sample_look(rng, held_out)
    if off_palette:
        looks = [("", rng.choice(SHAPES)) for _ in cells]
    things = [make_thing(rng, color, shape, rng.choice(tuple(SIZES)), cell)
              for (color, shape), cell in zip(looks, cells)]
    return Scene(tuple(things), rng.choice(tuple(BACKGROUNDS)))


def scene_of(seed: int | str, index: int, two_objects: float, off_palette: float = 0.0) -> tuple[Scene, random.Random]:
    """Scene `index` of the endless sequence of a seed, and the generator for what belongs to it (captions).

    `two_objects`, `off_palette`: shares of such scenes.
    """
    rng = random.Random(f"{seed}/{index}")
    objects = 2 if rng.random() < two_objects else 1
    return sample_scene(rng, objects, rng.random() < off_palette), rng


# ---- changing one thing ----------------------------------------------------------------------------------------------


def is_held_out(scene: Scene) -> bool:
    return any((thing.color, thing.shape) in HELD_OUT for thing in scene.things)


def change(scene: Scene, rng: random.Random, attribute: str, which: int = 0) -> Scene:
    """The scene, drawn anew, with another value of one attribute of object `which`.

    Attributes: "color", "shape", "size", "cell" (one object only), "background", "swap" (two objects change places).
    """
    looks = [[thing.color, thing.shape, thing.size, thing.cell, thing.rgb] for thing in scene.things]
    background = scene.background
    if attribute == "swap":
        looks[0][3], looks[1][3] = looks[1][3], looks[0][3]
        looks.reverse()
    elif attribute == "background":
        background = _other(rng, BACKGROUNDS, background)
    else:
        i = ("color", "shape", "size", "cell").index(attribute)
        looks[which][i] = _other(rng, (COLORS, SHAPES, SIZES, range(9))[i], looks[which][i])
    things = []
    for color, shape, size, cell, rgb in looks:
        thing = make_thing(rng, color, shape, size, cell)
        things.append(thing if color else dataclasses.replace(thing, rgb=rgb))
    return Scene(tuple(things), background)


def _other(rng: random.Random, values, current):
    return rng.choice([value for value in values if value != current])


# ---- drawing ---------------------------------------------------------------------------------------------------------

_grids: dict[int, tuple[numpy.ndarray, numpy.ndarray]] = {}


def _grid(size: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    if size not in _grids:
        steps = (numpy.arange(size, dtype=numpy.float32) + 0.5) * (SIZE / size)
        _grids[size] = (numpy.ascontiguousarray(numpy.broadcast_to(steps[None, :], (size, size))),
                        numpy.ascontiguousarray(numpy.broadcast_to(steps[:, None], (size, size))))
    return _grids[size]


def _box(x: numpy.ndarray, y: numpy.ndarray, half_width: float, half_height: float) -> numpy.ndarray:
    return numpy.maximum(numpy.abs(x) - half_width, numpy.abs(y) - half_height)


def _triangle(x: numpy.ndarray, y: numpy.ndarray, r: float) -> numpy.ndarray:
    circumscribed = 1.25 * r
    slanted = 0.8660254 * numpy.abs(x) - 0.5 * y
    return numpy.maximum(y, slanted) - 0.5 * circumscribed


def _star(x: numpy.ndarray, y: numpy.ndarray, r: float) -> numpy.ndarray:
    """Five points, one up. Folded into one tenth of the star, whose border is a single edge."""
    outer, inner = 1.25 * r, 0.55 * r
    fifth = 2 * numpy.pi / 5
    angle = numpy.arctan2(x, -y)
    angle = numpy.abs(angle - fifth * numpy.round(angle / fifth))
    distance = numpy.hypot(x, y)
    along, across = distance * numpy.cos(angle), distance * numpy.sin(angle)
    edge_x, edge_y = inner * numpy.cos(fifth / 2) - outer, inner * numpy.sin(fifth / 2)
    length = numpy.hypot(edge_x, edge_y)
    return ((along - outer) * edge_y - across * edge_x) / length


def _distance(shape: str, x: numpy.ndarray, y: numpy.ndarray, r: float) -> numpy.ndarray:
    """From the border of a shape of radius r round the origin, negative inside; pixels, near the border."""
    if shape == "circle":
        return numpy.hypot(x, y) - r
    if shape == "square":
        return _box(x, y, 0.88 * r, 0.88 * r)
    if shape == "triangle":
        return _triangle(x, y, r)
    if shape == "star":
        return _star(x, y, r)
    if shape == "cross":
        return numpy.minimum(_box(x, y, 1.1 * r, 0.37 * r), _box(x, y, 0.37 * r, 1.1 * r))
    if shape == "ring":
        return numpy.abs(numpy.hypot(x, y) - 0.8 * r) - 0.25 * r
    raise ValueError(f"no shape {shape}")


def coverage(shape: str, x: float, y: float, radius: float, size: int = SIZE) -> numpy.ndarray:
    """What share of each pixel a shape covers: float32 [size, size]. Lengths are in pixels of 64 x 64 pictures."""
    columns, rows = _grid(size)
    distance = _distance(shape, columns - x, rows - y, radius)
    return numpy.clip(0.5 - distance * (size / SIZE), 0, 1)


def render(scene: Scene) -> numpy.ndarray:
    """uint8 [64, 64, 3]."""
    picture = numpy.empty((SIZE, SIZE, 3), numpy.float32)
    picture[:] = BACKGROUNDS[scene.background]
    for thing in scene.things:
        alpha = coverage(thing.shape, thing.x, thing.y, thing.radius)[..., None]
        picture += alpha * (numpy.asarray(thing.rgb, numpy.float32) - picture)
    return (picture + 0.5).astype(numpy.uint8)


def render_hint(scene: Scene, size: int = SIZE) -> numpy.ndarray:
    """A map of depth, uint8 [size, size], near is bright: flat silhouettes (large objects nearer) on a far ground."""
    depth = numpy.full((size, size), 40.0, numpy.float32)
    for thing in scene.things:
        near = 225.0 if thing.size == "large" else 170.0
        depth += coverage(thing.shape, thing.x, thing.y, thing.radius, size) * (near - depth)
    return (depth + 0.5).astype(numpy.uint8)
