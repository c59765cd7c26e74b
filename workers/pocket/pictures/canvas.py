"""What a picture is made of before there is light: heights, reflectance, colour, and where the object is."""

from dataclasses import dataclass, field

import numpy as np

from .noise import Field


@dataclass
class Canvas:
    """Layers of one picture under construction, each (size, size) float32.

    Lengths are in pixels, ``height`` too, so that its gradient is a slope. ``albedo`` is the share of light given
    back (0..1). ``x`` and ``y`` are the object's own coordinates: 0 at its centre, 1 at about its radius.
    """

    size: int
    rng: np.random.Generator
    x: Field
    y: Field
    height: Field
    albedo: Field
    mask: Field  # 1 on the object, 0 on the background
    colour: np.ndarray  # (3,) of the material
    gloss: float = 0.25
    rolling: float = 0.0  # direction of rolling, brushing or milling, radians
    stains: list[tuple[Field, np.ndarray, float]] = field(default_factory=list)  # mask, colour, opacity
    # Distance in pixels from the object's outline, positive inside; None where the surface fills the frame.
    inside: Field | None = None

    @property
    def unit(self) -> float:
        """A length that grows with the picture: 1 at 128 pixels."""
        return self.size / 128

    def anywhere(self, margin: float = 0.12) -> tuple[float, float]:
        """A random pixel (x, y) on the object."""
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
        """A random pixel (x, y) on the object's outline that lies in the frame."""
        assert self.inside is not None
        rows, columns = np.nonzero(np.abs(self.inside) < 1.0 * self.unit)
        keep = (rows > 3) & (rows < self.size - 4) & (columns > 3) & (columns < self.size - 4)
        rows, columns = rows[keep], columns[keep]
        if len(rows) == 0:
            return self.anywhere()
        pick = int(self.rng.integers(len(rows)))
        return float(columns[pick]), float(rows[pick])


def pixel_grid(size: int) -> tuple[Field, Field]:
    """Two (size, size) fields: column and row of each pixel."""
    axis = np.arange(size, dtype=np.float32)
    rows, columns = np.meshgrid(axis, axis, indexing="ij")
    return columns, rows
