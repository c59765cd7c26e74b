"""The accuracy of a head in words, for pages, files and commands: the figure and the notes beside it."""

from dataclasses import dataclass, fields
from typing import Protocol

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.learning.figures import count, percent
from mekiki.learning.models import Evaluation

# With fewer audited images a percentage suggests too much precision, so the interval is shown instead.
MIN_FOR_PERCENTAGE = 30


class Estimate(Protocol):
    """An accuracy figure with its interval, for example a learning.models.Evaluation."""

    n: int
    correct: int
    low: float
    high: float

    @property
    def accuracy(self) -> float | None: ...


class AuditedEstimate(Estimate, Protocol):
    """An accuracy figure with what it leaves out. It has the fields of AuditCounts, except `counted`."""

    left_out: int  # images of a stratum without an audited image
    near_trained: int  # images of n with near-duplicates that the head was trained on
    near_trained_right: int  # correct ones of them


@dataclass(frozen=True)
class AuditCounts:
    """Counts of the images that were drawn for the audit and shown to a person, by their present state.

    `archived_label` and `judged_again` are parts of `counted`. The fields after them count images that are
    not part of `counted`. Each image is in exactly one of these fields or in `counted`.
    """

    counted: int = 0
    archived_label: int = 0  # their label was archived, so they count as wrong
    judged_again: int = 0  # their first label was archived, and a later answer is used
    without_label: int = 0  # skipped, flagged, or the reviewers did not agree
    taken_back: int = 0  # had an answer that was undone
    retired: int = 0  # moved into training by an admin
    share_changed: int = 0  # outside the reserve since the audit share was raised
    prediction_shown: int = 0  # labelled later with the prediction on the screen
    not_embedded: int = 0  # the encoder in use could not read them

    @property
    def left_out(self) -> int:
        """Return the number of drawn images that are not counted."""
        return sum(getattr(self, name) for name in UNCOUNTED_COLUMNS)

    @property
    def drawn(self) -> int:
        """Return the number of images that were drawn and shown."""
        return self.counted + self.left_out

    def __bool__(self) -> bool:
        return bool(self.archived_label or self.judged_again or self.left_out)


# The columns of Evaluation, in the order in which the notes are written.
COUNT_COLUMNS = tuple(field.name for field in fields(AuditCounts))[1:]
UNCOUNTED_COLUMNS = COUNT_COLUMNS[2:]
# Reasons why an image of a stored estimate can leave the sample later, or why its true label can change.
_SINCE = ("archived_label", "judged_again", "taken_back", "retired", "share_changed", "prediction_shown")


def counts_of(evaluation: AuditedEstimate) -> AuditCounts:
    """Return the counts that were stored with an estimate."""
    return AuditCounts(evaluation.n, **{name: getattr(evaluation, name) for name in COUNT_COLUMNS})


def changes_since(evaluation: AuditedEstimate, now: AuditCounts) -> AuditCounts:
    """Return how many images have left the sample since an estimate was stored, by reason.

    A stored estimate is never changed.
    """
    return AuditCounts(
        now.counted, **{name: max(0, getattr(now, name) - getattr(evaluation, name)) for name in _SINCE}
    )


def unknown_labels(evaluation: Evaluation) -> int:
    """Return how many audited images have an active label that the head does not know.

    Images with an archived label are not counted here.
    """
    return max(0, evaluation.report.unknown_label - int(evaluation.archived_label))


def leads_with_interval(n: int) -> bool:
    """Return whether the interval is shown instead of the percentage."""
    return n < MIN_FOR_PERCENTAGE


def interval(estimate: Estimate) -> str:
    """Return the 95 % interval as text: "76.9 % to 96.0 %"."""
    return _("%(low)s to %(high)s") % {"low": percent(estimate.low), "high": percent(estimate.high)}


def headline(estimate: Estimate | None) -> str:
    """Return the figure that a page shows large.

    This is the percentage, the interval if there are few images, or "–" if no image was audited.
    """
    if estimate is None or not estimate.n:
        return "–"
    return interval(estimate) if leads_with_interval(estimate.n) else percent(estimate.accuracy)


def support_sentence(estimate: Estimate) -> str:
    """Return the sentence beside the headline: the number of audited images, and the interval if needed."""
    if leads_with_interval(estimate.n):
        return ngettext(
            "%(correct)s of %(n)s audited image right; the interval becomes narrower with more "
            "audited images",
            "%(correct)s of %(n)s audited images right; the interval becomes narrower with more "
            "audited images",
            estimate.n,
        ) % {"correct": count(estimate.correct), "n": count(estimate.n)}
    return ngettext(
        "95 %% interval %(interval)s, from %(n)s audited image",
        "95 %% interval %(interval)s, from %(n)s audited images",
        estimate.n,
    ) % {"interval": interval(estimate), "n": count(estimate.n)}


def accuracy_cell(estimate: Estimate) -> str:
    """Return the figure for a table that has its own column for the interval.

    This is the percentage, or "4 of 5" if there are few images.
    """
    if not leads_with_interval(estimate.n):
        return percent(estimate.accuracy)
    return _("%(correct)s of %(n)s") % {"correct": count(estimate.correct), "n": count(estimate.n)}


def sample_size_cell(evaluation: AuditedEstimate) -> str:
    """Return the number of counted images for a table: "5", or "5 of 8 drawn" if some are not counted."""
    counts = counts_of(evaluation)
    if counts.drawn == counts.counted:
        return count(counts.counted)
    return _("%(n)s of %(drawn)s drawn") % {"n": count(counts.counted), "drawn": count(counts.drawn)}


def all_notes(evaluation: AuditedEstimate, now: AuditCounts | None = None) -> list[str]:
    """Return all notes on a stored estimate: what it leaves out, and what has left the sample since then."""
    sentences = []
    if evaluation.left_out:
        sentences.append(
            ngettext(
                "This figure does not cover %(shown)s image: no image imported with it was audited yet.",
                "This figure does not cover %(shown)s images: no image imported with them was audited yet.",
                evaluation.left_out,
            )
            % {"shown": count(evaluation.left_out)}
        )
    if evaluation.near_trained:
        sentences.append(_near_sentence(evaluation))
    sentences += notes_on_counts(counts_of(evaluation))
    since = notes_on_counts(changes_since(evaluation, now)) if now is not None else []
    return sentences + [_("Since this figure was computed: %(note)s") % {"note": note} for note in since]


def _near_sentence(evaluation: AuditedEstimate) -> str:
    others = evaluation.n - evaluation.near_trained
    near = ngettext(
        "The head was trained on near-duplicates of %(n)s audited image (right: %(right)s).",
        "The head was trained on near-duplicates of %(n)s audited images (right: %(right)s).",
        evaluation.near_trained,
    ) % {"n": count(evaluation.near_trained), "right": count(evaluation.near_trained_right)}
    if not others:
        return near
    rest = ngettext(
        "Of %(n)s other audited image, %(right)s is right: this share is closer to the accuracy on new "
        "images.",
        "Of %(n)s other audited images, %(right)s are right: this share is closer to the accuracy on new "
        "images.",
        others,
    ) % {"n": count(others), "right": count(evaluation.correct - evaluation.near_trained_right)}
    return _("%(near)s %(rest)s") % {"near": near, "rest": rest}


def notes_on_counts(counts: AuditCounts) -> list[str]:
    """Return one sentence for each reason why drawn images are not counted or count as wrong."""
    sentences = []
    for name in COUNT_COLUMNS:
        n = getattr(counts, name)
        if n:
            sentences.append(_sentence(name, n) % {"n": count(n)})
    return sentences


def _sentence(name: str, n: int) -> str:
    if name == "archived_label":
        return ngettext(
            "The label of %(n)s audited image was archived: it counts as wrong until the image is judged "
            "again.",
            "The labels of %(n)s audited images were archived: they count as wrong until they are judged "
            "again.",
            n,
        )
    if name == "judged_again":
        return ngettext(
            "%(n)s audited image was judged again after its label was archived. Its prediction could be seen "
            "before that.",
            "%(n)s audited images were judged again after their labels were archived. Their predictions "
            "could be seen before that.",
            n,
        )
    if name == "without_label":
        return ngettext(
            "%(n)s audited image has no label (skipped, flagged, or the reviewers did not agree) and "
            "is not counted. It is probably difficult to judge.",
            "%(n)s audited images have no label (skipped, flagged, or the reviewers did not agree) "
            "and are not counted. They are probably difficult to judge.",
            n,
        )
    if name == "taken_back":
        return ngettext(
            "The answer about %(n)s audited image was undone: it is not counted until the image is "
            "judged again.",
            "The answers about %(n)s audited images were undone: they are not counted until they are "
            "judged again.",
            n,
        )
    if name == "retired":
        return ngettext(
            "%(n)s audited image was moved into training and is not counted.",
            "%(n)s audited images were moved into training and are not counted.",
            n,
        )
    if name == "share_changed":
        return ngettext(
            "%(n)s audited image is not counted, because the audit share was changed after it was drawn.",
            "%(n)s audited images are not counted, because the audit share was changed after they were "
            "drawn.",
            n,
        )
    if name == "prediction_shown":
        return ngettext(
            "%(n)s audited image is not counted: it was judged again with the prediction shown.",
            "%(n)s audited images are not counted: they were judged again with the prediction shown.",
            n,
        )
    return ngettext(
        "%(n)s audited image is not counted: the encoder in use has no embedding of it.",
        "%(n)s audited images are not counted: the encoder in use has no embedding of them.",
        n,
    )
