"""The section of docs/benchmarks.md about label efficiency."""

from typing import Any

from benchmarks.efficiency.plots import name_of
from benchmarks.efficiency.summary import detail_table, verdicts

TITLE = "Label efficiency"
COMMAND = "make bench-learning PHOTOS=FOLDER"
EXPLANATION = """\
Accuracy as a function of the number of labels. Every method has the same pool, the same answers and, if it
draws at random, the same images. All are measured on a third of the images that no acquisition function and
no head uses. `area` is the mean accuracy over log₂ of the labels between the first and the last point.
`ours − it` is the difference of ours (head and acquisition) to that method, paired over the seeds, with a
95 % interval (positive: ours is better). `to 95 %` is the number of labels at which the median seed reaches
95 % of the accuracy of the better head with all labels of the pool. `macro` is the area under macro recall.
`nll` and `ece` are log-loss and expected calibration error after 100 labels. `s` is the median time in
seconds of one round of acquisition and fitting. `plain` is scikit-learn's LogisticRegression on
standardised features.

Digits are grey values without words for the labels. Photographs are the NEU surface defects by `pocket`,
which was not trained on them. Two shares of our acquisition function were once chosen on features of an
untrained network over them (decision 7). Pictures are drawn, eight labels on three kinds of part, under
capture conditions that were not in the training of `pocket`. `imbalanced` has 50 times as many of the most
common label as of the rarest, and is measured on equal numbers of each, weighted back to the pool's
mixture. With `wrong`, a tenth of the answers is another label. Audits are left out, because they measure
and are not used for training. So the product's reviewers give about 18 % more answers than are counted
here. Settings are chosen on seeds from 500 on, which draw other splits of the same images. The reported
seeds start at 0."""


def section(rows: list[dict[str, Any]]) -> str:
    """Return the section in Markdown, without a final newline."""
    first = rows[0]
    parts = [
        f"## {TITLE}\n\n{EXPLANATION}\n\n    {COMMAND}\n\n{first['measured']}, {first['machine']}, "
        f"{first['seeds']} seeds.\n"
    ]
    lines = ["| target | met | figures |", "|---|---|---|"]
    lines += [
        f"| {target} | {'yes' if met else '**no**'} | {figures} |" for target, met, figures in verdicts(rows)
    ]
    parts.append("\n".join(lines) + "\n")
    for data, condition in dict.fromkeys((row["data"], row["condition"]) for row in rows):
        mine = [row for row in rows if (row["data"], row["condition"]) == (data, condition)]
        parts.append(f"### {data.capitalize()}, {condition}\n")
        parts.append(f"![Accuracy against labels: {data}, {condition}](images/{name_of(data, condition)})\n")
        parts.append(f"With all labels: {mine[0]['full_accuracy']:.1%}.\n")
        parts.append(_table(mine) + "\n")
    return "\n".join(parts)


def detail_section(rows: list[dict[str, Any]]) -> str:
    """Return the section on our head with and without the local detail, without a final newline."""
    first = rows[0]
    return f"""## Label efficiency with the local detail

Our head and our acquisition function as in the section above, without and with the local detail, on the same
splits and answers. `area` and the paired difference (95 % interval over the seeds) are as above; accuracy is
that after {first["labels"][-1]} labels, `nll` and `ece` those after {first["measured_after"]} labels, `s` the
median seconds of one round. Textile is the set of “Local detail beside the embedding”.

    python benchmarks/learning.py --detail --textile FOLDER --photos FOLDER --seeds {first["seeds"]} --json …

{first["measured"]}, {first["machine"]}, {first["seeds"]} seeds.

{detail_table(rows)}
"""


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| head + acquisition | area | ours − it | to 95 % | macro | nll | ece | s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: -row["area"]):
        name = f"{row['head']} + {row['acquisition']}"
        if row["head"] == "zero_shot":
            name = "zero-shot"
        elif row["acquisition"] == "ours":
            name = f"**{name}**"
        gap = "–"
        if "behind_ours" in row and row["acquisition"] != "ours":
            gap = f"{row['behind_ours']:+.4f} [{row['behind_ours_low']:+.4f}, {row['behind_ours_high']:+.4f}]"
        to = "not reached" if row["labels_to_95"] is None else f"{row['labels_to_95']:.0f}"
        seconds = f"{row['seconds_per_round']:.2f}" if "seconds_per_round" in row else "–"
        lines.append(
            f"| {name} | {row['area']:.4f} | {gap} | {to} | {row['macro_area']:.4f} | {row['nll']:.3f} "
            f"| {row['ece']:.3f} | {seconds} |"
        )
    return "\n".join(lines)
