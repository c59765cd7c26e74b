"""The layers of a picture before lighting: heights, reflectance, colour, and the place of the object."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from .noise import Field

Points = list[tuple[float, float]]


@dataclass
class Canvas:
    """Layers of one picture under construction, each (size, size) float32.

    Lengths are in pixels, also ``height``, so that its gradient is a slope. ``albedo`` is the share of light
    that is reflected (0..1). ``x`` and ``y`` are object coordinates: 0 at the centre, 1 at about the radius.
    """

    size: int
    rng: np.random.Generator
    x: Field
    y: Field
    height: Field
    albedo: Field
    mask: Field  # 1 on the object, 0 on the background
    colour: np.ndarray  # (3,) of the material, or (size, size, 3) once another colour is inlaid
    gloss: float = 0.25
    rolling: float = 0.0  # direction of rolling, brushing or milling, radians
    stains: list[tuple[Field, np.ndarray, float]] = field(default_factory=list)  # mask, colour, opacity
    # Distance in pixels from the object's outline, positive inside; None where the surface fills the frame.
    inside: Field | None = None

    # Place of the object: pixel (x, y) of its centre, cosine and sine of its rotation, foreshortening, pixels
    # per unit.
    place: tuple[float, float, float, float, float, float] = (0.0, 0.0, 1.0, 0.0, 1.0, 1.0)
    state: str = "good"  # parts that can lack a piece are built without it
    severity: float = 0.0
    shine: Field | None = None  # gloss of pieces that differ from the rest, on top of ``gloss``
    # Place of the print: centre x, y, half width, half height.
    label: tuple[float, float, float, float] | None = None

    @property
    def unit(self) -> float:
        """Return a length that grows with the picture: 1 at 128 pixels."""
        return self.size / 128

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel (x, y) of object coordinates."""
        cx, cy, cos, sin, lean, reach = self.place
        return cx + (cos * x - sin * lean * y) * reach, cy + (sin * x + cos * lean * y) * reach

    def polygons(self, shapes: list[Points]) -> Field:
        """Return filled polygons of object coordinates, (size, size) in 0..1.

        Antialiased by 3× oversampling.
        """
        scale = 3
        image = Image.new("L", (self.size * scale, self.size * scale), 0)
        pen = ImageDraw.Draw(image)
        for shape in shapes:
            points = [self.pixel(x, y) for x, y in shape]
            pen.polygon([((px + 0.5) * scale, (py + 0.5) * scale) for px, py in points], fill=255)
        return np.asarray(image.reduce(scale), np.float32) / 255

    def inlay(
        self, mask: Field, colour: np.ndarray | tuple[float, float, float], opacity: float = 1.0
    ) -> None:
        """Set another material where ``mask`` (0..1) is; it gets the same light and damage as the rest."""
        cover = (mask * np.float32(opacity))[..., None]
        self.colour = self.colour * (1 - cover) + cover * np.asarray(colour, np.float32)

    def glint(self, mask: Field, gloss: float) -> None:
        """Make the material under ``mask`` glossier, or duller if ``gloss`` is negative."""
        self.shine = mask * np.float32(gloss) + (0 if self.shine is None else self.shine)

    def anywhere(self, margin: float = 0.12) -> tuple[float, float]:
        """Return a random pixel (x, y) on the object."""
        if self.inside is None:
            low, high = margin * self.size, (1 - margin) * self.size
            return float(self.rng.uniform(low, high)), float(self.rng.uniform(low, high))
        rows, columns = np.nonzero(self.inside > 0.03 * self.size)
        if len(rows) == 0:
            rows, columns = np.nonzero(self.mask > 0.5)
        if len(rows) == 0:
            return self.size / 2, self.size / 2
        pick = int(self.rng.integers(len(rows)))
        return float(columns[pick]), float(rows[pick])

    def edge(self) -> tuple[float, float]:
        """Return a random pixel (x, y) on the part of the object's outline that is in the frame."""
        assert self.inside is not None
        rows, columns = np.nonzero(np.abs(self.inside) < 1.0 * self.unit)
        keep = (rows > 3) & (rows < self.size - 4) & (columns > 3) & (columns < self.size - 4)
        rows, columns = rows[keep], columns[keep]
        if len(rows) == 0:
            return self.anywhere()
        pick = int(self.rng.integers(len(rows)))
        return float(columns[pick]), float(rows[pick])


def box(x: float, y: float, half_width: float, half_height: float, turn: float = 0.0) -> Points:
    """Return the corners of a rectangle, rotated by ``turn`` radians."""
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return [
        (x + cos * a * half_width - sin * b * half_height, y + sin * a * half_width + cos * b * half_height)
        for a, b in corners
    ]


def disc(x: float, y: float, radius: float, sides: int = 18) -> Points:
    """Return a circle as a polygon."""
    turns = np.arange(sides) * 2 * np.pi / sides
    return [(x + radius * float(np.cos(t)), y + radius * float(np.sin(t))) for t in turns]


def pixel_grid(size: int) -> tuple[Field, Field]:
    """Return two (size, size) fields: column and row of each pixel."""
    axis = np.arange(size, dtype=np.float32)
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    return columns, rows
