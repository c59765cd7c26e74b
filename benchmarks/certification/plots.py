"""The plot of certified labels as SVG: broken promises against labels set by machine."""

from html import escape
from pathlib import Path
from typing import Any

NAME = "certify.svg"
WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 60, 200, 44, 52
# Palette of Okabe and Ito; the shape shows the method as well.
MARKS = {
    "watched (ours)": ("#d55e00", "circle"),
    "planned (ours)": ("#e69f00", "circle"),
    "planned, binomial": ("#777777", "circle"),
    "whole pool (ours)": ("#009e73", "square"),
    "PAC labels": ("#56b4e9", "square"),
    "conformal, FDR": ("#0072b2", "diamond"),
    "point estimate": ("#cc79a7", "triangle"),
    "confidence ≥ 1 − α": ("#111111", "triangle"),
}


def write(figures: dict[str, Any], folder: Path) -> Path:
    """Write the plot and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / NAME
    file.write_text(plot(figures), encoding="utf-8")
    return file


def plot(figures: dict[str, Any]) -> str:
    """Return the SVG: one mark for each pool, head, α and method. The line is δ."""

    def x(share: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * share

    def y(share: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)

    end, delta = WIDTH - RIGHT, figures["delta"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="sans-serif" font-size="12">',
        "<title>Share of broken promises against the share of labels set by machine</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="24" font-size="15" fill="#111111">How often the promise is broken</text>',
    ]
    for tenth in range(0, 11, 2):
        share = tenth / 10
        parts.append(
            f'<line x1="{LEFT}" x2="{end}" y1="{y(share):.1f}" y2="{y(share):.1f}" stroke="#dddddd"/>'
            f'<text x="{LEFT - 8}" y="{y(share) + 4:.1f}" text-anchor="end" fill="#444444">'
            f"{share:.0%}</text>"
            f'<text x="{x(share):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#444444">'
            f"{share:.0%}</text>"
        )
    parts.append(
        f'<line x1="{LEFT}" x2="{end}" y1="{y(delta):.1f}" y2="{y(delta):.1f}" '
        'stroke="#111111" stroke-dasharray="5 4"/>'
        f'<text x="{WIDTH - RIGHT + 6}" y="{y(delta) + 4:.1f}" fill="#111111">δ = 5 %</text>'
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle" fill="#444444">'
        "images without a decision that the machine labels (median)</text>"
    )
    for row in figures["rows"]:
        colour, shape = MARKS[row["method"]]
        title = f"{row['method']}: {row['data']}, {row['head']} head, α {row['alpha']:.0%}"
        mark = _mark(x(row["coverage"]), y(row["exceeds"]), colour, shape)
        parts.append(f"<g><title>{escape(title)}</title>{mark}</g>")
    at = TOP + 6
    for name, (colour, shape) in MARKS.items():
        parts.append(
            _mark(WIDTH - RIGHT + 20, at, colour, shape)
            + f'<text x="{end + 34}" y="{at + 4}" font-size="11" fill="#222222">{escape(name)}</text>'
        )
        at += 20
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _mark(x: float, y: float, colour: str, shape: str) -> str:
    style = f'fill="{colour}" fill-opacity="0.55" stroke="{colour}"'
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" {style}/>'
    corners = {
        "square": [(-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)],
        "diamond": [(0, -6), (6, 0), (0, 6), (-6, 0)],
        "triangle": [(0, -6), (5.5, 4.5), (-5.5, 4.5)],
    }[shape]
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" {style}/>'
