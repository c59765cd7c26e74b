"""Write the measured figures into the model card, between two marks.

This way the card cannot state a figure that was not measured.
"""

import datetime
from pathlib import Path
from typing import Any

CARD = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- figures: written by make pocket-eval -->", "<!-- end of figures -->"
# (text of the row, key of pocket, key of the untrained network of the same shape, chance)
ROWS = (
    (
        "(a) zero-shot among {candidates} defects, English: {unseen_pictures} drawings of pairs of part and "
        "defect never drawn in training, unseen capture conditions",
        "zero_shot_en", "zero_shot_en_untrained", "12.5 %",
    ),
    ("(a) the same in Japanese", "zero_shot_ja", "zero_shot_ja_untrained", "12.5 %"),
    (
        "(b) NEU surface defects, {photos} photographs, six classes: zero-shot, English",
        "photos_zero_shot_en_pocket", "photos_zero_shot_en_untrained", "16.7 %",
    ),
    (
        "(b) zero-shot, Japanese",
        "photos_zero_shot_ja_pocket", "photos_zero_shot_ja_untrained", "16.7 %",
    ),
    (
        "(b) linear probe, 10 % of the labels",
        "photos_probe_10pc_pocket", "photos_probe_10pc_untrained", "16.7 %",
    ),
    (
        "(b) linear probe, 300 random labels",
        "photos_probe_300_pocket", "photos_probe_300_untrained", "16.7 %",
    ),
    (
        "(b) linear probe, 80 % of the labels",
        "photos_probe_80pc_pocket", "photos_probe_80pc_untrained", "16.7 %",
    ),
)  # fmt: skip


def table(figures: dict[str, Any], day: datetime.date) -> str:
    """Return the figures as a Markdown table. Raises KeyError if a figure was not measured."""
    lines = [
        f"`make pocket-eval PHOTOS=FOLDER`, {day.isoformat()}, digest `{figures['digest'][:12]}…`: "
        f"{figures['megabytes']:.1f} MB, loaded in {figures['load_s']:.2f} s, "
        f"{figures['images_per_s']:.0f} pictures of 200×200 embedded a second on that machine's CPU.",
        "",
        "| what | `pocket` | untrained, same shape | chance |",
        "|---|---|---|---|",
    ]
    for sentence, ours, control, chance in ROWS:
        lines.append(
            f"| {sentence.format(**figures)} | {figures[ours]:.1%} | {figures[control]:.1%} | {chance} |"
        )
    return "\n".join(lines).replace("%", " %").replace("  %", " %")


def write_card(figures: dict[str, Any], path: Path = CARD) -> None:
    """Replace the text between the marks of the card. Raises ValueError if the marks are missing."""
    before, mark, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{path} has no place for the figures: «{BEGIN}» … «{END}»")
    text = f"{before}{BEGIN}\n{table(figures, datetime.date.today())}\n{END}{after}"
    path.write_text(text, encoding="utf-8")
