"""Learning curves as SVG: accuracy over log₂ of the labels, one plot per data set and condition."""

import re
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 56, 190, 40, 48
# Palette of Okabe and Ito, which colour-blind readers can distinguish. The kind of line shows the head as
# well.
COLOURS = {
    "random": "#777777",
    "margin": "#0072b2",
    "entropy": "#56b4e9",
    "k_center": "#e69f00",
    "badge": "#009e73",
    "typiclust": "#cc79a7",
    "ours": "#d55e00",
}


def name_of(data: str, condition: str) -> str:
    return "learning-" + re.sub(r"[^a-z]+", "-", f"{data}-{condition}".lower()).strip("-") + ".svg"


def write(rows: list[dict[str, Any]], folder: Path) -> list[Path]:
    """Write one file per (data, condition) and return the paths; other files are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for data, condition in sorted({(row["data"], row["condition"]) for row in rows}):
        mine = [row for row in rows if (row["data"], row["condition"]) == (data, condition)]
        file = folder / name_of(data, condition)
        file.write_text(plot(f"{data}, {condition}", mine), encoding="utf-8")
        files.append(file)
    return files


def plot(title: str, rows: list[dict[str, Any]]) -> str:
    """Return the SVG.

    Bands are 95 % intervals of ours and of random + plain. The flat line is zero-shot.
    """
    drawn = [row for row in rows if "curve" in row]
    flat = next((row["accuracy"] for row in rows if row["head"] == "zero_shot"), None)
    labels = np.array(drawn[0]["labels"], float)
    values = [value for row in drawn for value in row["curve"]] + ([] if flat is None else [flat])
    low = np.floor(max(0.0, min(values)) * 10) / 10
    high = 1.0

    def x(count: float) -> float:
        span = np.log2(labels[-1] / labels[0])
        return LEFT + (WIDTH - LEFT - RIGHT) * np.log2(count / labels[0]) / span

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - np.clip(value, low, high)) / (high - low)

    def path(points: list[float]) -> str:
        return " ".join(f"{x(n):.1f},{y(v):.1f}" for n, v in zip(labels, points, strict=True))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}: accuracy against labels given</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="15" fill="#111111">{escape(title)}</text>',
    ]
    for step in np.arange(low, high + 0.001, 0.1 if high - low > 0.25 else 0.05):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(step):.1f}" y2="{y(step):.1f}" stroke="#dddddd"/>'
            f'<text x="{LEFT - 8}" y="{y(step) + 4:.1f}" text-anchor="end" fill="#444444">'
            f"{100 * step:.0f} %</text>"
        )
    for count in labels:
        parts.append(
            f'<text x="{x(count):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" '
            f'fill="#444444">{count:.0f}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle" fill="#444444">'
        "labels given (logarithmic)</text>"
    )
    order = sorted(drawn, key=lambda row: (row["acquisition"] == "ours", row["head"] == "ours"))
    for row in order:
        if (row["head"], row["acquisition"]) in {("ours", "ours"), ("plain", "random")}:
            there, back = path(row["curve_high"]), path(row["curve_low"]).split(" ")
            parts.append(
                f'<polygon points="{there} {" ".join(reversed(back))}" '
                f'fill="{COLOURS[row["acquisition"]]}" opacity="0.15"/>'
            )
    if flat is not None:
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(flat):.1f}" y2="{y(flat):.1f}" '
            'stroke="#111111" stroke-dasharray="1 4"/>'
        )
    for row in order:
        dash = ' stroke-dasharray="5 4"' if row["head"] == "plain" else ""
        wide = 3 if row["acquisition"] == "ours" else 1.5
        parts.append(
            f'<polyline points="{path(row["curve"])}" fill="none" stroke="{COLOURS[row["acquisition"]]}" '
            f'stroke-width="{wide}"{dash}/>'
        )
    # The legend lists the best area first.
    at = TOP + 6
    for row in sorted(drawn, key=lambda row: -row["area"]):
        dash = ' stroke-dasharray="5 4"' if row["head"] == "plain" else ""
        wide = 3 if row["acquisition"] == "ours" else 1.5
        start = WIDTH - RIGHT + 14
        words = f"{row['head']} + {row['acquisition']}  {row['area']:.3f}"
        parts.append(
            f'<line x1="{start}" x2="{start + 24}" y1="{at}" y2="{at}" '
            f'stroke="{COLOURS[row["acquisition"]]}" stroke-width="{wide}"{dash}/>'
            f'<text x="{start + 30}" y="{at + 4}" font-size="11" fill="#222222">{escape(words)}</text>'
        )
        at += 20
    if flat is not None:
        parts.append(
            f'<line x1="{start}" x2="{start + 24}" y1="{at}" y2="{at}" stroke="#111111" '
            'stroke-dasharray="1 4"/>'
            f'<text x="{start + 30}" y="{at + 4}" font-size="11" fill="#222222">zero-shot  {flat:.3f}</text>'
        )
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
