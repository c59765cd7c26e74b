"""Print on objects: serial numbers, signs and bars in ink, correct or misprinted."""

from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .canvas import Canvas, box, disc
from .noise import Field, clouds, smoothstep

LETTERS = np.asarray(list("ABCDEFGHJKLMNPRSTUVWXYZ0123456789-/.#"))
# Parts that may carry print, and surface finishes that may carry print.
SUBJECTS = frozenset({"cap", "tile", "board", "bracket", "connector"})
FINISHES = frozenset({"painted", "plastic", "ceramic", "glass", "fabric"})


def carries_print(subject: str, finish: str) -> bool:
    """Return whether this subject with this finish is sometimes printed on."""
    return finish in FINISHES if subject == "surface" else subject in SUBJECTS


def _write(pen: ImageDraw.ImageDraw, x: float, y: float, width: float, size: int, text: str) -> None:
    """Write text from (x, y), smaller if it is wider than ``width``.

    Print that is cut off would look like a misprint.
    """
    wide = _font(size).getlength(text)
    if wide > width:
        size = max(6, int(size * width / wide))
    pen.text((x, y), text, fill=255, font=_font(size))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _block(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Return an image of a block of print, (height, width) pixels: lines of text, a sign, bars."""
    image = Image.new("L", (width, height), 0)
    pen = ImageDraw.Draw(image)
    left, kind = 0, rng.random()
    if kind < 0.55 and width > 1.2 * height:  # a sign before the text
        side = height
        thick = max(2, height // 9)
        shape = int(rng.integers(4))
        frame = (thick, thick, side - thick, side - thick)
        if shape == 0:
            pen.ellipse(frame, outline=255, width=thick)
            pen.rectangle((side * 0.4, side * 0.3, side * 0.6, side * 0.7), fill=255)
        elif shape == 1:
            pen.polygon([(side / 2, thick), (side - thick, side - thick), (thick, side - thick)], fill=255)
        elif shape == 2:
            pen.rectangle(frame, outline=255, width=thick)
            pen.line((thick, thick, side - thick, side - thick), fill=255, width=thick)
        else:
            pen.pieslice(frame, 40, 320, fill=255)
        left = int(side * 1.15)
    elif kind < 0.75:  # bars
        x = left
        end = left + int(width * rng.uniform(0.4, 0.9))
        while x < end:
            thick = int(rng.integers(1, 4)) * max(1, height // 22)
            pen.rectangle((x, 0, x + thick, height * 0.7), fill=255)
            x += thick + int(rng.integers(1, 4)) * max(1, height // 22)
        _write(pen, 0, height * 0.7, width, max(8, int(height * 0.3)), "".join(rng.choice(LETTERS, 9)))
        return image
    lines = 1 if height < 40 else int(rng.integers(1, 4))
    size = max(8, int(height / lines * 0.92))
    for line in range(lines):
        length = max(2, int((width - left) / (0.62 * size)))
        text = "".join(rng.choice(LETTERS, min(length, int(rng.integers(3, 12)))))
        _write(pen, left, line * height / lines - 0.1 * size, width - left, size, text)
    return image


def _ink(c: Canvas) -> tuple[float, float, float]:
    """Return an ink colour that contrasts with the surface below it."""
    level = float(np.mean(c.colour))
    if level > 0.4:
        dark = (
            (0.04, 0.04, 0.05),
            (0.05, 0.05, 0.06),
            (0.05, 0.1, 0.35),
            (0.45, 0.05, 0.05),
            (0.05, 0.25, 0.12),
        )
        return dark[int(c.rng.integers(len(dark) if level > 0.55 else 2))]
    light = ((0.9, 0.9, 0.88), (0.9, 0.9, 0.88), (0.85, 0.72, 0.2))
    return light[int(c.rng.integers(len(light)))]


def _smeared(field: Field, length: int, dx: float, dy: float) -> Field:
    """Return ink that was dragged while it was wet, thinner with distance."""
    total = field.copy()
    for step in range(1, length):
        moved = np.roll(field, (round(dy * step), round(dx * step)), (0, 1))
        total = np.maximum(total, moved * np.float32(0.75 * (1 - step / length)))
    return total


def print_on(c: Canvas) -> None:
    """Print a block of marks at the label place of the part, or anywhere on a surface.

    The print is a misprint if that is the state of the canvas.
    """
    rng = c.rng
    bad = c.state == "misprint"
    if c.label is None:
        w = rng.uniform(0.35, 0.75)
        h = w * rng.uniform(0.22, 0.6)
        upright = rng.random() < 0.25
        _, _, cos, sin, lean, _ = c.place
        room = (0.92 - h, 0.92 - w) if upright else (0.92 - w, 0.92 - h)
        right, down = rng.uniform(-1, 1) * room[0], rng.uniform(-1, 1) * room[1]
        x, y = cos * right + sin * down, (cos * down - sin * right) / lean
        turn = -float(np.arctan2(sin, cos)) + (np.pi / 2 if upright else 0.0) + rng.normal(0, 0.04)
    else:
        x, y, w, h = c.label
        turn = float(rng.choice([0.0, np.pi])) + rng.normal(0, 0.015)
    kind = int(rng.integers(5)) if bad else -1
    framed = kind == 4 or (h > 0.15 and rng.random() < 0.25)
    reach = c.place[5]
    scale = 2
    width, height = max(24, int(2 * w * reach * scale)), max(10, int(2 * h * reach * scale))
    sheet = Image.new("L", (c.size * scale, c.size * scale), 0)
    block = _block(rng, width, height)
    ox, oy = (0.0, 0.0)
    if framed:
        block = block.resize((max(8, int(width * 0.8)), max(8, int(height * 0.75))))
    if kind == 4:  # print is beside its field
        away = rng.uniform(0.45, 0.6 + 0.4 * c.severity)
        ox, oy = rng.choice([-1, 1]) * away * w * rng.uniform(0.3, 1.0), rng.choice([-1, 1]) * away * h * 1.6
    total_turn = turn + float(np.arctan2(c.place[3], c.place[2]))
    skew = rng.normal(0, 0.12) if kind == 4 else 0.0
    turned = block.rotate(-np.degrees(total_turn + skew), expand=True, resample=Image.Resampling.BILINEAR)
    cos, sin = np.cos(turn), np.sin(turn)
    px, py = c.pixel(float(x + cos * ox - sin * oy), float(y + sin * ox + cos * oy))
    sheet.paste(turned, (int(px * scale - turned.width / 2), int(py * scale - turned.height / 2)))
    ink = np.asarray(sheet.reduce(scale), np.float32) / 255
    colour = _ink(c)
    if framed:
        shade = np.asarray(c.colour, np.float32).mean() if np.ndim(c.colour) == 1 else 0.5
        field = c.polygons([box(float(x), float(y), w * 1.05, h * 1.05, float(turn))])
        c.inlay(field, (0.88, 0.88, 0.85) if max(colour) < 0.5 else (shade * 0.35,) * 3, 0.95)
    strong = c.severity
    side = total_turn + rng.choice([0.0, np.pi / 2])
    dx, dy = float(np.cos(side)), float(np.sin(side))
    if kind == 0:
        ink = _smeared(ink, int((5 + 12 * strong) * c.unit), dx, dy)
    elif kind == 1:  # printed twice
        shift = (2.5 + 4 * strong) * c.unit
        ink = np.maximum(ink, 0.75 * np.roll(ink, (round(shift * dy), round(shift * dx)), (0, 1)))
    elif kind == 2:  # the ink is missing in places
        bare = clouds(rng, c.size, rng.uniform(5, 10), 2)
        ink = ink * smoothstep(0.5 * strong + 0.1, 0.5 * strong - 0.3, bare)
    elif kind == 3:  # too much ink: letters merge, and there are drops beside them
        wide = ink
        for step in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)):
            wide = np.maximum(wide, np.roll(ink, step, (0, 1)))
        drops = [
            disc(
                float(x + rng.normal(0, w)),
                float(y + rng.normal(0, 1.2 * h)),
                rng.uniform(0.015, 0.03 + 0.05 * strong),
            )
            for _ in range(int(rng.integers(3, 9)))
        ]
        ink = np.maximum(wide, c.polygons(drops))
    c.inlay(ink, colour, rng.uniform(0.8, 0.98))
