"""Draws the toy world: coloured things on coloured grounds, each with its caption and tags.

Every picture is a pure function of (seed, index), so a training set, a test and a demo folder are numbers, not files.
A thing is a list of outlines in its own coordinates (x right, y down, filling about -1..1) that are turned, scaled and
placed on the canvas three times too large and then averaged down, which is where the smooth edges come from.

    python -m toy.draw demo             # writes the demo data set into toy/images
    python -m toy.draw sheet OUT.png    # a contact sheet of the world, to look at
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

Rgb = tuple[int, int, int]
Outline = np.ndarray  # [points, 2]

COLOURS: dict[str, Rgb] = {
    "red": (210, 35, 40),
    "orange": (244, 128, 25),
    "yellow": (248, 216, 48),
    "green": (45, 150, 62),
    "turquoise": (50, 196, 186),
    "blue": (42, 82, 205),
    "purple": (125, 50, 165),
    "pink": (246, 150, 190),
    "brown": (118, 72, 38),
    "white": (244, 244, 242),
    "grey": (132, 132, 134),
    "black": (24, 24, 28),
}
GROUNDS = tuple(name for name in COLOURS if name != "brown")
TRIGGER = "sks"
CHARACTER = "sks creature"
CHARACTER_GROUNDS = ("blue", "white", "green", "grey", "orange", "purple", "black", "red")
CHARACTER_PALETTE: dict[str, Rgb] = {
    "body": (50, 196, 186),
    "ears": (236, 100, 165),
    "belly": (250, 226, 90),
    "eye": (250, 250, 250),
    "pupil": (18, 18, 24),
}
OVERSAMPLING = 3
DEMO_FOLDER = Path(__file__).parent / "images"
DEMO_SEED = 7
# Portrait and landscape among the squares, so that aspect-ratio buckets have something to do.
DEMO_SIZES = ((96, 96), (128, 128), (96, 128), (160, 160), (144, 96), (112, 112))
DEMO_COUNT = 20


def ellipse(x: float, y: float, rx: float, ry: float, points: int = 36) -> Outline:
    """Outline of an axis-aligned ellipse."""
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], axis=1)


def polygon(*corners: tuple[float, float]) -> Outline:
    return np.array(corners, dtype=float)


def _star() -> Outline:
    turn = np.arange(10) * np.pi / 5 - np.pi / 2
    reach = np.where(np.arange(10) % 2 == 0, 1.05, 0.44)
    return np.stack([reach * np.cos(turn), reach * np.sin(turn)], axis=1)


def _heart() -> Outline:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x / 16.5, -(y + 2.5) / 15], axis=1)


def _moon() -> Outline:
    outer = np.linspace(0.3 * np.pi, 1.7 * np.pi, 40)
    inner = np.linspace(1.62 * np.pi, 0.38 * np.pi, 40)
    far = np.stack([np.cos(outer), np.sin(outer)], axis=1)
    near = np.stack([0.38 + 0.8 * np.cos(inner), 0.85 * np.sin(inner)], axis=1)
    return np.concatenate([far, near]) + [0.15, 0]


def _ring(x: float, y: float, outer: float, inner: float) -> Outline:
    turn = np.linspace(0, 2 * np.pi, 48)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.concatenate([outer * circle, inner * circle[::-1]]) + [x, y]


def _petals() -> list[tuple[str, Outline]]:
    turns = np.arange(6) * np.pi / 3
    return [("main", ellipse(0.6 * np.cos(t), 0.6 * np.sin(t), 0.37, 0.37, 24)) for t in turns]


# What each thing is made of, back to front: "main" takes the thing's colour, "trim" its second colour (or a darker tint
# of the first), "shine" a lighter tint.
THINGS: dict[str, list[tuple[str, Outline]]] = {
    "ball": [("main", ellipse(0, 0, 0.95, 0.95)), ("shine", ellipse(-0.35, -0.38, 0.22, 0.18))],
    "box": [
        ("main", polygon((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85))),
        ("trim", polygon((-0.85, -0.42), (0.85, -0.42), (0.85, -0.24), (-0.85, -0.24))),
    ],
    "star": [("main", _star())],
    "heart": [("main", _heart())],
    "moon": [("main", _moon())],
    "flower": [*_petals(), ("trim", ellipse(0, 0, 0.34, 0.34))],
    "house": [
        ("main", polygon((-0.72, -0.1), (0.72, -0.1), (0.72, 0.95), (-0.72, 0.95))),
        ("trim", polygon((-1.0, -0.05), (0, -0.95), (1.0, -0.05))),
        ("shine", polygon((-0.2, 0.35), (0.2, 0.35), (0.2, 0.95), (-0.2, 0.95))),
    ],
    "tree": [
        ("trim", polygon((-0.17, 0.4), (0.17, 0.4), (0.17, 1.02), (-0.17, 1.02))),
        ("main", polygon((0, -1.05), (0.55, -0.2), (-0.55, -0.2))),
        ("main", polygon((0, -0.6), (0.8, 0.52), (-0.8, 0.52))),
    ],
    "fish": [
        ("trim", polygon((0.35, 0), (1.05, -0.5), (1.05, 0.5))),
        ("main", ellipse(-0.2, 0, 0.82, 0.5)),
        ("shine", ellipse(-0.6, -0.12, 0.12, 0.12, 16)),
    ],
    "cup": [
        ("main", _ring(0.55, 0.05, 0.48, 0.27)),
        ("main", polygon((-0.85, -0.75), (0.6, -0.75), (0.42, 0.85), (-0.67, 0.85))),
        ("trim", polygon((-0.85, -0.75), (0.6, -0.75), (0.575, -0.52), (-0.82, -0.52))),
    ],
    "ring": [("main", _ring(0, 0, 0.98, 0.58))],
    "cross": [
        ("main", polygon((-0.3, -0.95), (0.3, -0.95), (0.3, 0.95), (-0.3, 0.95))),
        ("main", polygon((-0.95, -0.3), (0.95, -0.3), (0.95, 0.3), (-0.95, 0.3))),
    ],
}
_WITH_TRIM = tuple(name for name, parts in THINGS.items() if any(role == "trim" for role, _ in parts))
# Bands laid over a thing's main parts, from the top (-1) to the bottom (1) of the thing.
_PATTERNS = {"half": [(0.0, 1.2)], "band": [(-0.28, 0.28)], "stripes": [(-0.7, -0.3), (0.05, 0.45)]}


def vocabulary() -> list[str]:
    """Every tag that a scene can have, in a fixed order: things, colours, grounds."""
    return [*THINGS, *COLOURS, *(f"{name} background" for name in GROUNDS)]


@dataclass(frozen=True)
class Scene:
    """What one picture shows, in the words of its caption."""

    thing: str
    colour: str
    ground: str
    second: str = ""
    pattern: str = ""  # how the second colour is laid on: trim, half, band, stripes; empty without one

    @property
    def caption(self) -> str:
        both = f"{self.colour} and {self.second}" if self.second else self.colour
        article = "an" if both[0] in "aeiou" else "a"
        return f"{article} {both} {self.thing} on {'an' if self.ground[0] in 'aeiou' else 'a'} {self.ground} background"

    @property
    def tags(self) -> list[str]:
        """Shape, colour(s) and ground, for a tagger: ["star", "red", "blue background"]."""
        return [self.thing, self.colour, *([self.second] if self.second else []), f"{self.ground} background"]


@dataclass(frozen=True)
class Place:
    """Where and how a thing sits: centre and radius as parts of the canvas, turn in radians, stretch of its width."""

    x: float = 0.5
    y: float = 0.5
    radius: float = 0.34
    turn: float = 0.0
    stretch: float = 1.0


class Canvas:
    """A picture being drawn, `OVERSAMPLING` times too large until `image()` averages it down."""

    def __init__(self, width: int, height: int, top: Rgb, bottom: Rgb) -> None:
        self.size = (width, height)
        blend = Image.new("RGB", (1, 2))
        blend.putpixel((0, 0), top)
        blend.putpixel((0, 1), bottom)
        self.big = blend.resize((width * OVERSAMPLING, height * OVERSAMPLING), Image.Resampling.BILINEAR)
        self.pen = ImageDraw.Draw(self.big)

    def corners(self, outline: Outline, place: Place) -> list[tuple[float, float]]:
        cos, sin = np.cos(place.turn), np.sin(place.turn)
        x, y = outline[:, 0] * place.stretch, outline[:, 1]
        scale = place.radius * min(self.big.size)
        across = place.x * self.big.width + scale * (x * cos - y * sin)
        down = place.y * self.big.height + scale * (x * sin + y * cos)
        return list(zip(across.tolist(), down.tolist()))

    def fill(self, outline: Outline, place: Place, colour: Rgb) -> None:
        self.pen.polygon(self.corners(outline, place), fill=colour)

    def bands(self, outlines: Iterable[Outline], place: Place, pattern: str, colour: Rgb) -> None:
        """Lay the bands of `pattern` over the given outlines only."""
        inside = Image.new("1", self.big.size)
        striped = Image.new("1", self.big.size)
        for outline in outlines:
            ImageDraw.Draw(inside).polygon(self.corners(outline, place), fill=1)
        for top, bottom in _PATTERNS[pattern]:
            band = polygon((-1.3, top), (1.3, top), (1.3, bottom), (-1.3, bottom))
            ImageDraw.Draw(striped).polygon(self.corners(band, place), fill=1)
        both = Image.composite(striped, Image.new("1", self.big.size), inside)
        self.big.paste(colour, (0, 0), both)

    def image(self) -> Image.Image:
        return self.big.reduce(OVERSAMPLING)


def shade(colour: Rgb, rng: np.random.Generator, spread: float = 1.0) -> Rgb:
    """A colour a little lighter or darker than the given one, so that a name stands for a range."""
    value = np.array(colour) * rng.uniform(1 - 0.08 * spread, 1 + 0.08 * spread) + rng.uniform(-6, 6, 3) * spread
    return tuple(int(v) for v in np.clip(value, 0, 255))


def tint(colour: Rgb, amount: float) -> Rgb:
    """Towards white for a positive amount, towards black for a negative one (-1..1)."""
    goal = 255 if amount > 0 else 0
    return tuple(int(c + (goal - c) * abs(amount)) for c in colour)


def _ground(name: str, rng: np.random.Generator, size: tuple[int, int]) -> Canvas:
    base = shade(COLOURS[name], rng)
    slope = rng.uniform(-0.06, 0.06)
    return Canvas(*size, tint(base, slope), tint(base, -slope))


def _place(rng: np.random.Generator, low: float = 0.25, high: float = 0.41, turn: float = 0.35) -> Place:
    radius = rng.uniform(low, high)
    room = 0.5 - radius
    return Place(
        x=0.5 + rng.uniform(-room, room) * 0.8,
        y=0.5 + rng.uniform(-room, room) * 0.8,
        radius=radius,
        turn=rng.uniform(-turn, turn),
        stretch=rng.uniform(0.9, 1.1),
    )


def _trim(colour: Rgb) -> Rgb:
    # Black has no darker tint: its details are lighter.
    return tint(colour, -0.3) if sum(colour) > 200 else tint(colour, 0.3)


def draw_thing(canvas: Canvas, scene: Scene, place: Place, rng: np.random.Generator) -> None:
    main = shade(COLOURS[scene.colour], rng)
    second = shade(COLOURS[scene.second], rng) if scene.second else _trim(main)
    inks = {
        "main": main,
        "trim": second if scene.pattern in ("", "trim") else _trim(main),
        "shine": tint(main, 0.35) if sum(main) < 600 else tint(main, -0.25),
    }
    parts = THINGS[scene.thing]
    for number, (role, outline) in enumerate(parts):
        canvas.fill(outline, place, inks[role])
        last_main = role == "main" and not any(later == "main" for later, _ in parts[number + 1 :])
        if last_main and scene.pattern in _PATTERNS:
            canvas.bands([o for r, o in parts if r == "main"], place, scene.pattern, second)


def random_scene(rng: np.random.Generator) -> Scene:
    """Any thing in any colour on any other ground; one in four has a second colour."""
    thing = str(rng.choice(list(THINGS)))
    colour, second = (str(name) for name in rng.choice(list(COLOURS), 2, replace=False))
    ground = str(rng.choice([name for name in GROUNDS if name != colour]))
    if rng.random() > 0.25 or second == ground:
        return Scene(thing, colour, ground)
    patterns = [*_PATTERNS, *(["trim"] * 2 if thing in _WITH_TRIM else [])]
    return Scene(thing, colour, ground, second, str(rng.choice(patterns)))


def draw(seed: int, index: int, size: int = 64) -> tuple[Image.Image, Scene]:
    """Picture `index` of world `seed`, `size` pixels square, with what it shows."""
    rng = np.random.default_rng([seed, index])
    scene = random_scene(rng)
    return draw_scene(scene, rng, (size, size)), scene


def draw_scene(scene: Scene, rng: np.random.Generator, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """One picture of the given scene; size is (width, height) in pixels."""
    canvas = _ground(scene.ground, rng, size)
    draw_thing(canvas, scene, _place(rng), rng)
    return canvas.image()


def draw_jumble(seed: int, index: int, size: int = 64) -> Image.Image:
    """Things and parts in any colours, sizes and places, for the autoencoder only.

    A decoder that has seen nothing but the named colours, one at a time, paints a new character in the wrong colours.
    """
    rng = np.random.default_rng([seed, index, 1])

    def any_colour() -> Rgb:
        return tuple(int(v) for v in rng.integers(0, 256, 3))

    def any_place() -> Place:
        x, y = rng.uniform(0.1, 0.9, 2)
        return Place(x, y, rng.uniform(0.06, 0.4), rng.uniform(-np.pi, np.pi), rng.uniform(0.6, 1.6))

    canvas = Canvas(size, size, top=any_colour(), bottom=any_colour())
    for _ in range(rng.integers(2, 7)):
        place = any_place()
        for _, outline in THINGS[str(rng.choice(list(THINGS)))]:
            canvas.fill(outline, place, any_colour())
    for _ in range(rng.integers(0, 4)):
        place = replace(any_place(), radius=rng.uniform(0.03, 0.1))
        canvas.fill(ellipse(0, 0, 1, 1), place, any_colour() if rng.random() < 0.4 else (250, 250, 250))
        canvas.fill(ellipse(0, 0, 0.5, 0.5), place, any_colour() if rng.random() < 0.4 else (16, 16, 20))
    return canvas.image()


def draw_character(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
    """The creature that the base never sees: turquoise, pink cat ears and feet, yellow belly, two big white eyes."""
    ink = {part: shade(colour, rng, spread=0.6) for part, colour in CHARACTER_PALETTE.items()}
    spread, raised, look = rng.uniform(-0.08, 0.12), rng.uniform(-0.5, 0.45), rng.uniform(-0.07, 0.07, 2)
    for side in (-1, 1):
        ear = polygon((side * 0.12, -0.42), (side * (0.66 + spread), -1.1), (side * 0.74, -0.2))
        canvas.fill(ear, place, ink["ears"])
        canvas.fill(ellipse(side * 0.36, 0.93, 0.27, 0.14), place, ink["ears"])
        arm = polygon((side * 0.55, 0.1), (side * 1.0, 0.08 + raised), (side * 0.95, 0.34 + raised), (side * 0.5, 0.5))
        canvas.fill(arm, place, ink["body"])
    canvas.fill(ellipse(0, 0.13, 0.74, 0.8), place, ink["body"])
    canvas.fill(ellipse(0, 0.54, 0.42, 0.34), place, ink["belly"])
    for side in (-1, 1):
        canvas.fill(ellipse(side * 0.3, -0.17, 0.24, 0.27), place, ink["eye"])
        canvas.fill(ellipse(side * 0.3 + look[0], -0.17 + look[1], 0.13, 0.15), place, ink["pupil"])


def character_picture(
    seed: int, index: int, size: tuple[int, int] = (64, 64), ground: str | None = None
) -> tuple[Image.Image, str]:
    """Picture `index` of the character and its caption, "sks creature on a blue background"."""
    rng = np.random.default_rng([seed, index, 2])
    ground = ground or CHARACTER_GROUNDS[index % len(CHARACTER_GROUNDS)]
    canvas = _ground(ground, rng, size)
    draw_character(canvas, _place(rng, 0.28, 0.38, turn=0.3), rng)
    return canvas.image(), f"{CHARACTER} on {'an' if ground[0] in 'aeiou' else 'a'} {ground} background"


def write_demo(folder: Path = DEMO_FOLDER, count: int = DEMO_COUNT) -> list[Path]:
    """Write the demo data set, a leaf folder of `creature_NN.png` with `.txt` captions, and say what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for index in range(count):
        image, caption = character_picture(DEMO_SEED, index, DEMO_SIZES[index % len(DEMO_SIZES)])
        path = folder / f"creature_{index + 1:02d}.png"
        image.save(path, optimize=True)
        path.with_suffix(".txt").write_text(caption + "\n", encoding="utf-8")
        written.append(path)
    return written


def contact_sheet(images: list[Image.Image], columns: int = 8, cell: int = 96) -> Image.Image:
    """The pictures side by side, each scaled into a square cell."""
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * cell, rows * cell), (60, 60, 60))
    for number, image in enumerate(images):
        fitted = image.convert("RGB")
        fitted.thumbnail((cell - 2, cell - 2))
        if max(fitted.size) < cell - 2:
            scale = (cell - 2) / max(fitted.size)
            fitted = fitted.resize((round(fitted.width * scale), round(fitted.height * scale)))
        sheet.paste(fitted, (number % columns * cell + 1, number // columns * cell + 1))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m toy.draw", description="Draw the toy world.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="write the demo data set")
    demo.add_argument("--folder", type=Path, default=DEMO_FOLDER)
    sheet = commands.add_parser("sheet", help="write a contact sheet: things, jumbles, the character")
    sheet.add_argument("out", type=Path)
    sheet.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.command == "demo":
        print(f"{len(write_demo(options.folder))} pictures with captions in {options.folder}")
        return
    images = [draw(options.seed, i)[0] for i in range(48)]
    images += [draw_jumble(options.seed, i) for i in range(8)]
    images += [character_picture(options.seed, i)[0] for i in range(16)]
    contact_sheet(images, columns=12).save(options.out)


if __name__ == "__main__":
    main()
