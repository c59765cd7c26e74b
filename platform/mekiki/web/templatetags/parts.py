"""Parts of pages that many templates share: `{% load parts %}`. Their HTML is in templates/components."""

from collections.abc import Sequence

from django import template
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from mekiki.web.charts.interval_chart import Bar, intervals
from mekiki.web.charts.line_chart import AxisMark, Line
from mekiki.web.charts.line_chart import line_chart as draw_lines

register = template.Library()


@register.simple_block_tag
def scroll_table(content: str, *, labelledby: str = "", label: str = "", compact: bool = False) -> SafeString:
    """Return a table that scrolls sideways in a frame, also by keyboard. `content`: its rows.

    Give the id of the heading that names it, or a label.
    """
    given = {"content": content, "labelledby": labelledby, "label": label, "compact": compact}
    return render_to_string("components/scroll_table.html", given)


@register.simple_block_tag
def page_header(content: str, title: str, *, back: str = "", back_url: str = "") -> SafeString:
    """Return the header of a page: a link to the page above, the title, and `content` as introduction."""
    given = {"content": content, "title": title, "back": back, "back_url": back_url}
    return render_to_string("components/page_header.html", given)


@register.simple_block_tag
def chart(content: str, *, svg: str, caption: str = "", narrow: bool = False) -> SafeString:
    """Return a chart with its caption. `content` is the same as a table, which opens below it."""
    given = {"content": content, "svg": svg, "caption": caption, "narrow": narrow}
    return render_to_string("components/chart.html", given)


@register.simple_tag
def interval_chart(bars: Sequence[Bar], *, title: str, description: str) -> SafeString:
    """Return the SVG of shares with their intervals, for the tag `chart`."""
    return intervals(bars, title=title, description=description)


@register.simple_tag
def line_chart(
    lines: Sequence[Line],
    marks: Sequence[AxisMark],
    *,
    title: str,
    description: str,
    x_label: str,
    goal: AxisMark | None = None,
) -> SafeString:
    """Return the SVG of several lines, for the tag `chart`."""
    return draw_lines(lines, marks, title=title, description=description, x_label=x_label, goal=goal)


@register.inclusion_tag("components/stat.html")
def stat(label: str, value: object, *, note: object = "", small: bool = False) -> dict[str, object]:
    """Return one figure with its label for a `dl` of the class "stats"."""
    return {"label": label, "value": value, "note": note, "small": small}


@register.inclusion_tag("components/post_button.html")
def post_button(
    words: str,
    url: str = "",
    *,
    look: str = "",
    question: str = "",
    yes: str = "",
    about: str = "",
    name: str = "",
    value: object = "",
) -> dict[str, object]:
    """Return a form that is one button. Without `url` it posts to the address of the page.

    `look` is any of "primary", "danger", "quiet" and "small". `question` is asked before it posts, and `yes`
    are the words of the answer. `about` names the object for screen readers. `name` and `value` are sent.
    """
    return {
        "words": words,
        "url": url,
        "classes": " ".join(["button", *(f"button--{word}" for word in look.split())]),
        "question": question,
        "yes": yes,
        "about": about,
        "name": name,
        "value": value,
    }
