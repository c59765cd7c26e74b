"""The diagram of the loop, from import to label set."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from mekiki.web.charts.drawing import coordinate


@dataclass(frozen=True)
class LoopStage:
    """One stage of the loop and the number of images there. `shown` is the formatted number."""

    label: str
    count: int
    shown: str


def loop(stations: Sequence[LoopStage], *, title: str, description: str, back: str) -> SafeString:
    """Return the loop as one diagram: stations in a row, and an arrow from the fourth back to the second.

    `back` is the text on that arrow. Stations with images are filled.
    """
    width = 100 / len(stations)
    centres = [width * (i + 0.5) for i in range(len(stations))]
    links = format_html_join(
        "",
        '<line class="loop__way{}" x1="{}%" x2="{}%" y1="58" y2="58"/>',
        [
            (
                " loop__way--used" if stations[i + 1].count else "",
                coordinate(centres[i]),
                coordinate(centres[i + 1]),
            )
            for i in range(len(stations) - 1)
        ],
    )
    places = format_html_join(
        "",
        '<text class="loop__count" x="{x}%" y="32" text-anchor="middle">{shown}</text>'
        '<circle class="loop__place{used}" cx="{x}%" cy="58" r="8"/>'
        '<text class="loop__label" x="{x}%" y="90" text-anchor="middle">{label}</text>',
        [
            {
                "x": coordinate(c),
                "shown": s.shown,
                "label": s.label,
                "used": " loop__place--used" if s.count else "",
            }
            for c, s in zip(centres, stations)
        ],
    )
    start, end = coordinate(centres[3] * 10), coordinate(centres[1] * 10)
    return format_html(
        '<svg class="loop" role="img" aria-label="{title}. {description}" width="100%" height="158">'
        "{links}"
        '<svg width="100%" height="158" viewBox="0 0 1000 158" preserveAspectRatio="none">'
        '<polyline class="loop__back" vector-effect="non-scaling-stroke" '
        'points="{start},100 {start},122 {end},122 {end},104"/></svg>'
        '<svg x="{arrow}%" y="100" width="1" height="1" overflow="visible">'
        '<polyline class="loop__arrow" points="-5,8 0,1 5,8"/></svg>'
        "{places}"
        '<text class="loop__note" x="50%" y="143" text-anchor="middle">{back}</text></svg>',
        title=title,
        description=description,
        links=links,
        places=places,
        start=start,
        end=end,
        arrow=coordinate(centres[1]),
        back=back,
    )
