"""Growth of the seconds with the number of images, as SVG."""

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.efficiency.plots import BOTTOM, COLOURS, HEIGHT, LEFT, RIGHT, TOP, WIDTH

NAME = "rerank-growth.svg"
# step → (colour, dashes): the dashes distinguish the lines without colour
STEPS = {
    "refit": (COLOURS["typiclust"], "2 3"),
    "rescore": (COLOURS["margin"], "7 4"),
    "choose": (COLOURS["badge"], "10 3 2 3"),
    "total": (COLOURS["ours"], ""),
}
WORDS = {"refit": "refit the head", "rescore": "re-score", "choose": "choose", "total": "in all"}


def growth(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with the fewest labels and confirmed images, sorted by number of images."""
    mine = [row for row in rows if row["kind"] == "rerank"]
    least = min((row["labels"], row["confirmed"]) for row in mine)
    return sorted(
        (row for row in mine if (row["labels"], row["confirmed"]) == least), key=lambda row: row["images"]
    )


def write(rows: list[dict[str, Any]], folder: Path) -> Path:
    file = folder / NAME
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(plot(growth(rows)), encoding="utf-8")
    return file


def plot(rows: list[dict[str, Any]]) -> str:
    """Return the SVG, with both axes logarithmic.

    `floor` is the reading and the products of re-scoring.
    """
    images = np.array([row["images"] for row in rows], float)
    lines = {step: np.array([row[f"{step}_s"] for row in rows]) for step in STEPS}
    floor = np.array([row["floor_read_s"] + row["floor_product_s"] for row in rows])
    every = np.maximum(np.concatenate([*lines.values(), floor]), 1e-4)
    low, high = np.floor(np.log10(every.min())), np.ceil(np.log10(every.max()))
    left, right = np.log10(images[0]), np.log10(images[-1])

    def x(count: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (np.log10(count) - left) / max(right - left, 1e-9)

    def y(seconds: float) -> float:
        part = (high - np.log10(max(seconds, 1e-4))) / max(high - low, 1e-9)
        return TOP + (HEIGHT - TOP - BOTTOM) * float(np.clip(part, 0, 1))

    def path(values: Any) -> str:
        return " ".join(f"{x(n):.1f},{y(v):.1f}" for n, v in zip(images, values, strict=True))

    title = f"Refit, re-score, choose: {rows[0]['labels']} labels, {rows[0]['confirmed']:,} confirmed"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}: seconds against images</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="15" fill="#111111">{escape(title)}</text>',
    ]
    for power in np.arange(low, high + 1):
        at = y(10**power)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#dddddd"/>'
            f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end" fill="#444444">{10**power:g} s</text>'
        )
    for count in images:
        parts.append(
            f'<text x="{x(count):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" '
            f'fill="#444444">{count:,.0f}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle" fill="#444444">'
        "images (both axes logarithmic)</text>"
    )
    drawn = [(WORDS[step], lines[step], *STEPS[step]) for step in STEPS]
    drawn.append(("floor of re-scoring", floor, "#111111", "1 4"))
    at = TOP + 6
    for words, values, colour, dashes in sorted(drawn, key=lambda line: -line[1][-1]):
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        wide = 3 if words == "in all" else 1.5
        start = WIDTH - RIGHT + 14
        parts.append(
            f'<polyline points="{path(values)}" fill="none" stroke="{colour}" stroke-width="{wide}"{dash}/>'
            f'<line x1="{start}" x2="{start + 24}" y1="{at}" y2="{at}" stroke="{colour}" '
            f'stroke-width="{wide}"{dash}/>'
            f'<text x="{start + 30}" y="{at + 4}" font-size="11" fill="#222222">'
            f"{escape(words)}  {values[-1]:.2f} s</text>"
        )
        at += 20
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
