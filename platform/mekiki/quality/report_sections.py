"""The sections of a study's report, in the reader's language."""

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.learning.figures import count
from mekiki.quality.figures import Figures, ReviewerFigures, Share
from mekiki.quality.inputs import MISSING, UNABLE
from mekiki.quality.models import Study
from mekiki.quality.report_parts import (
    Bar,
    Section,
    Table,
    interval_text,
    landis_koch_word,
    part_text,
    range_text,
    share_text,
    value_text,
)
from mekiki.review.blinding import neutral_name

MOST_LABELS = 12  # of a confusion matrix


def agreement_section(figures: Figures) -> Section:
    """Return the shares of images with equal answers."""
    rows: list[tuple[str, Share | None]] = [
        (_("%(name)s, between runs") % {"name": reviewer.name}, reviewer.within)
        for reviewer in figures.reviewers
    ]
    rows.append((_("all reviewers with each other"), figures.between))
    if figures.has_reference:
        rows += [
            (_("%(name)s with the reference") % {"name": reviewer.name}, reviewer.reference)
            for reviewer in figures.reviewers
        ]
        rows.append((_("all reviewers with the reference"), figures.all_reference))
    return Section(
        "agreement",
        _("Agreement"),
        [
            _(
                "The share of images with equal answers in all runs. Lines show 95 % intervals "
                "(Clopper–Pearson)."
            )
        ],
        bars=[
            Bar(label, share.value, share.low, share.high, f"{share_text(share)} ({part_text(share)})")
            for label, share in rows
            if share is not None
        ],
        tables=[
            Table(
                _("Agreement"),
                [_("Who"), _("Equal"), _("Share"), _("95 % interval")],
                [[label, part_text(share), share_text(share), range_text(share)] for label, share in rows],
            )
        ],
    )


def coefficients_section(figures: Figures) -> Section:
    """Return the kappas and alpha."""
    names = [reviewer.name for reviewer in figures.reviewers]
    rows = [
        (_("Fleiss’ kappa, all answers"), figures.fleiss),
        (_("Krippendorff’s alpha, all answers"), figures.alpha),
        *(
            (
                _("Cohen’s kappa, %(first)s and %(second)s")
                % {"first": names[pair.first], "second": names[pair.second]},
                pair.kappa,
            )
            for pair in figures.pairs
        ),
        *(
            (
                _("Cohen’s kappa, %(name)s and the reference") % {"name": reviewer.name},
                reviewer.reference_kappa,
            )
            for reviewer in figures.reviewers
            if reviewer.reference_kappa is not None
        ),
        *(
            (_("Fleiss’ kappa, %(name)s between runs") % {"name": reviewer.name}, reviewer.own_kappa)
            for reviewer in figures.reviewers
        ),
    ]
    return Section(
        "kappa",
        _("Agreement beyond chance"),
        [
            _(
                "Kappa and alpha are 1 for perfect agreement and 0 for the agreement of random answers. The "
                "95 %% intervals are from %(n)s bootstrap samples of images."
            )
            % {"n": count(figures.resamples)},
            _(
                "The ratings are a convention of Landis & Koch (1977). AIAG calls a kappa above 0.75 good "
                "and a kappa below 0.40 poor. These bounds are conventions: kappa also depends on the "
                "frequencies of the labels."
            ),
        ],
        tables=[
            Table(
                _("Agreement beyond chance"),
                [_("Measure"), _("Value"), _("95 % interval"), _("Rating"), _("Images")],
                [
                    [
                        label,
                        value_text(coefficient),
                        interval_text(coefficient),
                        landis_koch_word(coefficient.value if coefficient else None),
                        count(coefficient.images if coefficient else None),
                    ]
                    for label, coefficient in rows
                ],
            )
        ],
    )


def critical_section(figures: Figures) -> Section:
    """Return the misses and false alarms on critical labels."""
    names = ", ".join(label.name for label in figures.labels if label.critical)
    return Section(
        "critical",
        _("Misses and false alarms on critical labels"),
        [
            _(
                "Critical labels: %(names)s. A miss is an answer that is not critical for an image whose "
                "reference is critical. A false alarm is the opposite. The figures count answers of all runs."
            )
            % {"names": names}
        ],
        tables=[
            Table(
                _("Misses and false alarms"),
                [
                    _("Reviewer"),
                    _("Misses"),
                    _("Share"),
                    _("95 % interval"),
                    _("False alarms"),
                    _("Share"),
                    _("95 % interval"),
                ],
                [
                    [
                        reviewer.name,
                        *(
                            part_text(reviewer.misses),
                            share_text(reviewer.misses),
                            range_text(reviewer.misses),
                        ),
                        part_text(reviewer.false_alarms),
                        share_text(reviewer.false_alarms),
                        range_text(reviewer.false_alarms),
                    ]
                    for reviewer in figures.reviewers
                ],
            )
        ],
    )


def confusions_section(figures: Figures) -> Section:
    """Return a confusion matrix for each reviewer."""
    return Section(
        "confusion",
        _("Answers against the reference"),
        [_("Rows are reference labels, columns are answers of all runs.")],
        tables=[
            _confusion(figures, reviewer)
            for reviewer in figures.reviewers
            if reviewer.confusion is not None and reviewer.given
        ],
    )


def _confusion(figures: Figures, reviewer: ReviewerFigures) -> Table:
    matrix = reviewer.confusion or []
    used = [place for place in range(len(matrix)) if sum(matrix[place]) or sum(row[place] for row in matrix)]
    # With many labels, those with the most wrong answers are shown.
    wrong = {
        place: sum(matrix[place]) + sum(row[place] for row in matrix) - 2 * matrix[place][place]
        for place in used
    }
    if len(used) > MOST_LABELS:
        used = sorted(sorted(used, key=lambda place: -wrong[place])[:MOST_LABELS])
    title = reviewer.name
    hidden = sum(1 for place in wrong if place not in used)
    if hidden:
        title = _("%(name)s (%(n)s labels with fewer wrong answers are left out)") % {
            "name": reviewer.name,
            "n": hidden,
        }
    names = [figures.labels[place].name for place in used]
    return Table(
        title,
        [_("Reference"), *names],
        [
            [name, *(count(matrix[row][column]) for column in used)]
            for name, row in zip(names, used, strict=True)
        ],
    )


def answer_words(figures: Figures, answer: int) -> str:
    """Return the name of the label of an answer, or that there is none."""
    if answer == UNABLE:
        return _("could not judge")
    return "–" if answer == MISSING else figures.labels[answer].name


def differing_section(figures: Figures) -> Section:
    """Return the images on which answers differ, with all answers."""
    n = figures.differing_count
    if not n:
        return Section(
            "differing", _("Images with different answers"), [_("No image got different answers.")]
        )
    sentence = ngettext("%(n)s image got different answers.", "%(n)s images got different answers.", n) % {
        "n": count(n)
    }
    if n > len(figures.differing):
        shown = _("The report shows the %(n)s images with the most differences.") % {
            "n": len(figures.differing)
        }
        sentence = _("%(first)s %(second)s") % {"first": sentence, "second": shown}
    headings = [_("Image"), *(reviewer.name for reviewer in figures.reviewers)]
    rows = [
        [
            neutral_name(image.sha256),
            *(" / ".join(answer_words(figures, answer) for answer in runs) for runs in image.answers),
        ]
        for image in figures.differing
    ]
    if figures.has_reference:
        headings.append(_("Reference"))
        for row, image in zip(rows, figures.differing, strict=True):
            row.append(answer_words(figures, image.reference))
    return Section(
        "differing",
        _("Images with different answers"),
        [sentence],
        tables=[Table(_("Answers by run"), headings, rows)],
    )


def missing_section(figures: Figures) -> Section:
    """Return which answers are missing, and why."""
    sentences = []
    for reviewer in figures.reviewers:
        if not reviewer.joint:
            sentences.append(
                _(
                    "%(name)s completed no image in all runs, so the figures about all reviewers leave this "
                    "person out. The kappas use the answers that were given."
                )
                % {"name": reviewer.name}
            )
        if not reviewer.member:
            sentences.append(_("%(name)s may not review the dataset any more.") % {"name": reviewer.name})
    archived = [label.name for label in figures.labels if label.archived]
    if archived:
        sentences.append(
            _("Archived since the start, but part of the study: %(names)s.") % {"names": ", ".join(archived)}
        )
    if figures.has_reference and figures.reference_images < figures.images:
        n = figures.images - figures.reference_images
        sentences.append(
            ngettext(
                "%(n)s image has no reference label and is left out of the comparisons with the reference.",
                "%(n)s images have no reference label and are left out of the comparisons with the "
                "reference.",
                n,
            )
            % {"n": n}
        )
    if all(reviewer.given - reviewer.unable == reviewer.wanted for reviewer in figures.reviewers):
        sentences.insert(0, _("No answer is missing."))
    else:
        sentences.insert(
            0,
            _(
                "Some answers are missing. A share counts only images with all answers. The columns with "
                "numbers of images show how many images count."
            ),
        )
    return Section(
        "missing",
        _("Answers given"),
        sentences,
        tables=[
            Table(
                _("Answers given"),
                [_("Reviewer"), _("Given"), _("Expected"), _("Could not judge")],
                [
                    [reviewer.name, count(reviewer.given), count(reviewer.wanted), count(reviewer.unable)]
                    for reviewer in figures.reviewers
                ],
            )
        ],
    )


def limits_section(figures: Figures) -> Section:
    """Return the limits of the report."""
    sentences = [
        _(
            "This report is about these reviewers, images and labels only. It does not state the accuracy "
            "of the labels of the dataset or of a head. Accuracy is measured on the audit sample."
        ),
        _("Reviewers can agree and be wrong together. Only the comparison with reference labels shows this."),
    ]
    if figures.design["method"] == Study.Method.STRATIFIED:
        sentences.append(
            _(
                "The images are not a random sample: each label has about the same number of images, and "
                "hard images are more frequent than in the dataset. Agreement in daily work is usually "
                "higher."
            )
        )
    if figures.has_reference and figures.design["reference"] == Study.Reference.CONFIRMED:
        sentences.append(
            _(
                "The confirmed labels may come from the same reviewers. Then the agreement with the "
                "reference is too high."
            )
        )
    if not figures.has_reference:
        sentences.append(_("Without reference labels, misses and false alarms are not known."))
    sentences.append(
        _(
            "Reviewers knew that they took part in a study. A later run can be influenced by memory of an "
            "earlier run."
        )
    )
    return Section("limits", _("Limits of this report"), sentences)
