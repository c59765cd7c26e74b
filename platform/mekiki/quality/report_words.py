"""A study's report in words and tables, in the reader's language: one source for the page and the PDF."""

from datetime import datetime

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.learning.figures import count
from mekiki.quality.figures import Figures
from mekiki.quality.models import Study
from mekiki.quality.report_parts import (
    Document,
    interval_text,
    moment,
    range_text,
    share_text,
    value_text,
)
from mekiki.quality.report_sections import (
    agreement_section,
    coefficients_section,
    confusions_section,
    critical_section,
    differing_section,
    limits_section,
    missing_section,
)


def report_document(
    figures: Figures, *, digest: str, version: int, software: str, created_at: datetime | None
) -> Document:
    """Return the report in the active language."""
    sections = [agreement_section(figures), coefficients_section(figures)]
    if figures.has_reference:
        if any(row.misses is not None for row in figures.reviewers):
            sections.append(critical_section(figures))
        sections.append(confusions_section(figures))
    sections += [differing_section(figures), missing_section(figures), limits_section(figures)]
    return Document(
        title=_("Attribute agreement report: %(name)s") % {"name": figures.design["name"]},
        verdict=_verdict(figures),
        good={"good": True, "poor": False}.get(figures.verdict),
        basis=_basis(figures),
        facts=_facts(figures, digest, version, software, created_at),
        sections=sections,
    )


def _verdict(figures: Figures) -> str:
    return {
        "good": _("The reviewers agree well with each other."),
        "poor": _("The reviewers do not agree well enough with each other."),
        "unclear": _("This study does not show whether the reviewers agree well enough with each other."),
    }.get(figures.verdict, _("This study has too few different answers to measure the agreement."))


def _basis(figures: Figures) -> str:
    """Return the sentence with the figures behind the verdict."""
    between, kappa = figures.between, figures.fleiss
    same = ngettext(
        "All answers of all reviewers were equal for %(k)s of %(n)s image (%(share)s, 95 %% interval "
        "%(range)s).",
        "All answers of all reviewers were equal for %(k)s of %(n)s images (%(share)s, 95 %% interval "
        "%(range)s).",
        between.n,
    ) % {"k": between.k, "n": between.n, "share": share_text(between), "range": range_text(between)}
    if kappa.value is None:
        why = _("Kappa is undefined: there are too few answers, or all answers are the same label.")
    elif kappa.low is None:
        why = _("Fleiss’ kappa is %(value)s, without an interval because no answers differ.") % {
            "value": value_text(kappa)
        }
    else:
        why = _("Fleiss’ kappa is %(value)s (95 %% interval %(range)s); good agreement begins at 0.75.") % {
            "value": value_text(kappa),
            "range": interval_text(kappa),
        }
    return _("%(first)s %(second)s") % {"first": same, "second": why} if between.n else why


def _facts(
    figures: Figures, digest: str, version: int, software: str, created_at: datetime | None
) -> list[tuple[str, str]]:
    design = figures.design
    started, ended = parse_datetime(design["started_at"]), parse_datetime(design["ended_at"])
    people = ", ".join(reviewer.name for reviewer in figures.reviewers)
    reference = {
        Study.Reference.NONE: _("no reference labels"),
        Study.Reference.CONFIRMED: _(
            "the confirmed labels of the images at the start, as an admin confirmed"
        ),
        Study.Reference.PERSON: _("the answers of %(name)s") % {"name": figures.reference_person},
    }[design["reference"]]
    if design["method"] == Study.Method.RANDOM:
        chosen = _("at random")
    else:
        chosen = _("equal numbers for each label, up to %(n)s %% of them hard images") % {
            "n": design["boundary_percent"]
        }
    runs = _("%(n)s runs in different random orders, without predictions") % {"n": design["runs"]}
    if design["pause_hours"]:
        runs += _(", with a pause of %(n)s h") % {"n": design["pause_hours"]}
    return [
        (_("Dataset"), f"{design['dataset_name']} ({design['dataset']})"),
        (_("Study"), _("Study %(n)s, report %(version)s") % {"n": design["number"], "version": version}),
        (_("Answers given"), _("%(from)s to %(until)s") % {"from": moment(started), "until": moment(ended)}),
        (_("Reviewers"), people),
        (_("Images"), _("%(n)s images, %(chosen)s") % {"n": count(figures.images), "chosen": chosen}),
        (_("Runs"), runs),
        (_("Reference"), reference),
        (_("Report computed"), moment(created_at)),
        (_("Software"), f"Mekiki {software}"),
        (_("SHA-256 of the inputs"), digest),
    ]
