"""A bar of all images, divided by who set the label."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from mekiki.web.charts.drawing import coordinate


@dataclass(frozen=True)
class LabelShare:
    """A part of the bar. kind: the end of its class name. shown: the formatted number."""

    kind: str
    label: str
    count: int
    shown: str


def label_bar(parts: Sequence[LabelShare], *, title: str) -> SafeString:
    """Return the bar. A part with at least one image is at least 0.5 % wide. Without images it is empty."""
    total = sum(part.count for part in parts)
    wide = [max(100 * part.count / total, 0.5) if part.count else 0.0 for part in parts] if total else []
    scale = 100 / sum(wide) if wide else 1.0
    shapes, at = [], 0.0
    for part, width in zip(parts, wide, strict=False):
        shapes.append((part.kind, coordinate(at), coordinate(width * scale)))
        at += width * scale
    return format_html(
        '<svg class="label-bar" role="img" aria-label="{}. {}" width="100%" height="14">{}</svg>',
        title,
        "; ".join(f"{part.label}: {part.shown}" for part in parts),
        format_html_join(
            "", '<rect class="label-bar__part label-bar__part--{}" x="{}%" width="{}%" height="14"/>', shapes
        ),
    )
