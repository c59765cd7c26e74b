"""A picture that is converted and composited strip by strip, so that memory holds it only once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from PIL import Image

STRIP_PIXELS = 1 << 18  # pixels converted at a time
BACKDROP = (128, 128, 128)  # the neutral grey of our screens, behind transparent pixels

Step = Callable[[Image.Image], Image.Image]
# (first row, row after the last) → (colours, alpha or None)
Rows = Callable[[int, int], tuple[Image.Image, Image.Image | None]]


@dataclass
class Strips:
    """The decoded values of a picture. `rows` creates a part of the picture from them.

    `whole` is the picture itself, "L" or "RGB", if `rows` only crops it.
    """

    width: int
    height: int
    mode: str  # of the colours: "L", "RGB", "CMYK", "LAB"
    rows: Rows
    whole: Image.Image | None = None
    steps: list[Step] = field(default_factory=list)  # conversions of the colours of each strip, in order

    @property
    def size(self) -> tuple[int, int]:
        """The size as (width, height)."""
        return self.width, self.height

    def picture(self) -> Image.Image:
        """Return the finished picture, "L" or "RGB".

        If `whole` has the mode of the finished picture, it is changed in place.
        """
        if self.whole is not None and not self.steps:
            return self.whole
        # Steps keep the size, so each finished strip has the same position. Grey may become colour.
        target: Image.Image | None = None
        for top, bottom in strip_bounds(self.width, self.height):
            strip = self._finished(top, bottom)
            if target is None:
                whole = self.whole
                fits = whole is not None and whole.mode == strip.mode
                target = whole if whole is not None and fits else Image.new(strip.mode, self.size)
            target.paste(strip, (0, top))
        assert target is not None  # a picture has at least one row
        return target

    def _finished(self, top: int, bottom: int) -> Image.Image:
        strip, alpha = self.rows(top, bottom)
        for step in self.steps:
            strip = step(strip)
        if strip.mode not in {"L", "RGB"}:
            strip = strip.convert("RGB")
        if alpha is None:
            return strip
        ground = Image.new("RGB", strip.size, BACKDROP)
        ground.paste(strip.convert("RGB"), mask=alpha)
        return ground


def strip_bounds(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Yield (first row, row after the last) of each strip."""
    rows = max(1, STRIP_PIXELS // max(1, width))
    for top in range(0, height, rows):
        yield top, min(height, top + rows)


def strips_of_image(image: Image.Image) -> Strips:
    """Return the strips of a loaded picture without transparency."""

    def rows(top: int, bottom: int) -> tuple[Image.Image, None]:
        return image.crop((0, top, image.width, bottom)), None

    return Strips(image.width, image.height, image.mode, rows, image if image.mode in {"L", "RGB"} else None)


def strips_of_8_bit_image(image: Image.Image) -> tuple[Strips, bool]:
    """Return (strips, whether anything is transparent) of a loaded picture with at most 8 bits."""
    strips = strips_of_image(image)
    if strips.whole is not None and "transparency" not in image.info:
        return strips, False
    if image.mode == "1":
        strips.mode, strips.rows = "L", _converted(strips.rows, "L")
        return strips, False
    if image.mode not in {"LA", "La", "PA", "RGBA", "RGBa"} and "transparency" not in image.info:
        strips.mode, strips.rows = "RGB", _converted(strips.rows, "RGB")
        return strips, False
    layers = _converted(strips.rows, "RGBA")

    def colours(top: int, bottom: int) -> tuple[Image.Image, None]:
        return layers(top, bottom)[0].convert("RGB"), None

    def both(top: int, bottom: int) -> tuple[Image.Image, Image.Image]:
        layer = layers(top, bottom)[0]
        return layer.convert("RGB"), layer.getchannel("A")

    transparent = any(
        layers(top, bottom)[0].getchannel("A").getextrema() != (255, 255)
        for top, bottom in strip_bounds(image.width, image.height)
    )
    strips.mode, strips.whole, strips.rows = "RGB", None, both if transparent else colours
    return strips, transparent


def _converted(rows: Rows, mode: str) -> Rows:
    def converted(top: int, bottom: int) -> tuple[Image.Image, None]:
        strip = rows(top, bottom)[0]
        return (strip if strip.mode == mode else strip.convert(mode)), None

    return converted
