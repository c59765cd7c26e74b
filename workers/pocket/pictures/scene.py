"""Draw a picture from a specification: build the object, damage it, light it, capture it."""

from dataclasses import dataclass

import numpy as np

from .canvas import Canvas, pixel_grid
from .conditions import Conditions, background, capture
from .defects import DEFECTS
from .faults import PRODUCTION_DEFECTS, speck
from .finishes import FINISHES, TONES, finishes_of, tones_of
from .noise import Field, clouds, smoothstep
from .parts import PARTS
from .printing import carries_print, print_on
from .rules import HELD_OUT, possible

SUBJECTS = ("surface", *PARTS)
FINISH_NAMES = tuple(FINISHES)
TONE_NAMES = tuple(TONES)
STATES = ("good", *DEFECTS, *PRODUCTION_DEFECTS)
# Defects of metal sheet; they occur mostly on rolled finish.
ROLLING_DEFECTS = frozenset({"scale", "patches", "inclusion", "pits", "crazing"})


@dataclass(frozen=True)
class Spec:
    """What a picture shows. ``state`` is `good` or a defect; ``seed`` fixes everything else."""

    subject: str
    finish: str
    tone: str
    state: str
    severity: float
    seed: int


def states_of(subject: str, *, held_out: bool | None = None) -> list[str]:
    """Return the states that a subject can have; ``held_out`` True or False keeps only such pairs."""
    states = [state for state in STATES if possible(subject, state)]
    if held_out is not None:
        states = [state for state in states if ((subject, state) in HELD_OUT) == held_out]
    return states


def _state_frequency(subject: str, state: str) -> float:
    """Return the relative frequency of a state on a subject.

    A defect that occurs on one finish only must not make this finish common on parts.
    """
    if subject == "surface":
        return 0.5 if state == "blowhole" else 1.0
    finishes = finishes_of(subject)
    share = sum(often for name, often in finishes.items() if possible(subject, state, name))
    return max(0.35, share / sum(finishes.values()))


def choose(rng: np.random.Generator, *, subject: str | None = None, state: str | None = None) -> Spec:
    """Return a random specification with the frequencies of training.

    Held-out pairs occur only if both subject and state are given.
    """
    if subject is None:
        named = [s for s in SUBJECTS if state is None or (possible(s, state) and (s, state) not in HELD_OUT)]
        weights = np.asarray([7.4 if name == "surface" else 1.0 for name in named])
        subject = named[int(rng.choice(len(named), p=weights / weights.sum()))]
    if state is None:
        states = states_of(subject, held_out=False)
        weights = np.asarray([1.6 if name == "good" else _state_frequency(subject, name) for name in states])
        state = states[int(rng.choice(len(states), p=weights / weights.sum()))]
    offered = {name: often for name, often in finishes_of(subject).items() if possible(subject, state, name)}
    names, weights = list(offered), np.asarray(list(offered.values()))
    if subject == "surface" and state in ROLLING_DEFECTS:
        weights[names.index("rolled")] = 1.5 * (weights.sum() - weights[names.index("rolled")])
    finish = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    tones = tones_of(finish)
    if state == "rust":  # only iron rusts
        tones = tuple(tone for tone in tones if tone not in ("brass", "copper"))
    tone = str(rng.choice(tones))
    return Spec(subject, finish, tone, state, float(rng.uniform(0.35, 1.0)), int(rng.integers(2**62)))


@dataclass(frozen=True)
class Drawing:
    """A picture and what the generator knows about it.

    ``picture`` is (s, s, 3) uint8; the other two are (s, s) float32 fields in 0..1.
    """

    picture: np.ndarray
    thing: np.ndarray  # the object without the pieces that broke off; 1 everywhere for a surface
    # The damaged places; 0 everywhere if the object is good or its defect is built in (`faults.BUILT`).
    damage: np.ndarray


def _canvas(rng: np.random.Generator, spec: Spec, size: int, conditions: Conditions) -> Canvas:
    columns, rows = pixel_grid(size)
    fill = 1.0 if spec.subject == "surface" else rng.uniform(*conditions.fill)
    angle, lean = rng.uniform(0, 2 * np.pi), rng.uniform(0.85, 1.0)
    centre = size / 2 + rng.normal(0, 0.03 * size, 2)
    dx, dy = (columns - centre[0]) / (size * 0.48 * fill), (rows - centre[1]) / (size * 0.48 * fill)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x, y = cos * dx + sin * dy, (cos * dy - sin * dx) / np.float32(lean)
    colour = np.asarray(TONES[spec.tone], np.float32) * rng.uniform(0.85, 1.15)
    colour = np.clip(colour * rng.uniform(0.94, 1.06, 3), 0.03, 0.95).astype(np.float32)
    ones = np.ones((size, size), np.float32)
    rolling = rng.uniform(0, np.pi)
    # sheet is usually photographed along or across its rolling direction
    if spec.subject == "surface" and rng.random() < 0.6:
        rolling = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.05)
    return Canvas(
        size=size,
        rng=rng,
        x=x.astype(np.float32),
        y=y.astype(np.float32),
        height=np.zeros((size, size), np.float32),
        albedo=ones.copy(),
        mask=ones.copy(),
        colour=colour,
        rolling=float(rolling),
        place=(
            float(centre[0]),
            float(centre[1]),
            float(cos),
            float(sin),
            float(lean),
            float(size * 0.48 * fill),
        ),
        state=spec.state,
        severity=spec.severity,
    )


def _light(c: Canvas, elevation: float) -> np.ndarray:
    """Return the lit (s, s, 3) picture: Lambert and Blinn–Phong, one directional light, ambient light."""
    rng = c.rng
    azimuth = rng.uniform(0, 2 * np.pi)
    lx, ly, lz = np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)
    slope_x, slope_y = np.empty_like(c.height), np.empty_like(c.height)
    slope_x[:, 1:-1] = (c.height[:, 2:] - c.height[:, :-2]) / 2
    slope_y[1:-1] = (c.height[2:] - c.height[:-2]) / 2
    slope_x[:, 0], slope_x[:, -1] = slope_x[:, 1], slope_x[:, -2]
    slope_y[0], slope_y[-1] = slope_y[1], slope_y[-2]
    norm = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    toward = np.clip((lz - slope_x * lx - slope_y * ly) * norm, 0, None) / lz
    half = np.asarray((lx, ly, lz + 1), np.float32)
    half /= np.linalg.norm(half)
    shine = np.clip((half[2] - slope_x * half[0] - slope_y * half[1]) * norm, 0, 1)
    ambient = rng.uniform(0.25, 0.55)
    diffuse = np.clip(c.albedo, 0.02, 1.6) * (ambient + (1 - ambient) * np.clip(toward, 0, 2.2))
    body = diffuse[..., None] * c.colour
    for film, tint, opacity in c.stains:
        cover = (film * np.float32(opacity))[..., None]
        body = body * (1 - cover) + cover * tint * np.clip(toward, 0.3, 1.6)[..., None]
    gloss = c.gloss if c.shine is None else np.clip(c.gloss + c.shine, 0, 1)
    highlight = gloss * rng.uniform(0.4, 1.0) * shine ** rng.uniform(12, 60)
    return (body + highlight[..., None] * 0.6).astype(np.float32)


def _damage(before: tuple[Field, Field, Field], canvas: Canvas) -> Field:
    """Return how much the look of each pixel changed: shade, outline, slope or film; 1 is plainly visible."""
    albedo, mask, height = before
    rise = canvas.height - height
    slope = np.hypot(*np.gradient(rise)).astype(np.float32)
    changed = np.maximum(np.abs(canvas.albedo - albedo) / 0.15, np.abs(canvas.mask - mask) / 0.5)
    changed = np.maximum(changed, slope / 0.35)
    for film, _tint, opacity in canvas.stains:
        changed = np.maximum(changed, film * np.float32(opacity / 0.3))
    # The background cannot be damaged. Material that is gone or grew out of the object counts.
    return np.clip(changed * np.maximum(mask, canvas.mask), 0, 1).astype(np.float32)


def draw(spec: Spec, size: int, conditions: Conditions) -> np.ndarray:
    """Return the picture of `draw_known` alone, (size, size, 3) uint8.

    The same arguments give the same picture. Raises KeyError and ValueError as `draw_known` does.
    """
    return draw_with_masks(spec, size, conditions).picture


def draw_with_masks(spec: Spec, size: int, conditions: Conditions) -> Drawing:
    """Return the picture and where the object and the damage are; the same arguments give the same result.

    Raises KeyError if a subject, finish, tone or state does not exist, ValueError if the state cannot occur
    on the subject.
    """
    if spec.subject not in SUBJECTS or spec.state not in STATES or spec.finish not in FINISHES:
        raise KeyError(f"no such thing: {spec.subject}, {spec.finish}, {spec.state}")
    if not possible(spec.subject, spec.state, spec.finish):
        raise ValueError(f"a {spec.subject}, {spec.finish}, cannot have the state {spec.state}")
    rng = np.random.default_rng(spec.seed)
    canvas = _canvas(rng, spec, size, conditions)
    if spec.subject != "surface":
        outline, relief = PARTS[spec.subject](canvas)
        slope = float(np.abs(np.diff(canvas.x[0])).mean() + np.abs(np.diff(canvas.y[0])).mean())
        scale = 1 / max(np.hypot(*(np.diff(canvas.x[0]).mean(), np.diff(canvas.y[0]).mean())), slope / 4)
        canvas.inside = (outline * scale).astype(np.float32)
        canvas.mask = smoothstep(-0.7, 0.7, canvas.inside)
        bevel = rng.uniform(1.0, 3.0) * canvas.unit
        canvas.height += relief + bevel * smoothstep(0, 2.5 * bevel, canvas.inside)
    FINISHES[spec.finish](canvas)
    if rng.random() < 0.5:  # traces of use are no defect
        canvas.albedo += 0.02 * clouds(rng, size, 2, 3)
    # A mosaic or a plate with a bore has no room for print.
    free = canvas.inside is None or canvas.label is not None
    if (
        free
        and carries_print(spec.subject, spec.finish)
        and (rng.random() < 0.55 or spec.state == "misprint")
    ):
        print_on(canvas)
    where = np.zeros((size, size), np.float32)
    if spec.state != "good":
        before = (canvas.albedo.copy(), canvas.mask.copy(), canvas.height.copy())
        damage = DEFECTS.get(spec.state) or PRODUCTION_DEFECTS[spec.state]
        if spec.state == "inclusion" and spec.finish in ("ceramic", "glass"):
            damage = speck
        damage(canvas, spec.severity)
        where = _damage(before, canvas)
    picture = _light(canvas, rng.uniform(*conditions.elevation))
    if canvas.inside is not None:
        kind = conditions.backgrounds[int(rng.integers(len(conditions.backgrounds)))]
        behind = background(rng, size, kind)
        shift = int(rng.integers(1, max(2, size // 24)))
        shadow = np.roll(canvas.mask, (shift, shift if rng.random() < 0.5 else -shift), (0, 1))
        behind = behind * (1 - rng.uniform(0.1, 0.6) * shadow)[..., None]
        cover = canvas.mask[..., None]
        picture = picture * cover + behind * (1 - cover)
    return Drawing(capture(rng, picture, conditions), canvas.mask, where)
