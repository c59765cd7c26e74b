"""Statements about the labels that the machine set: in the manifest, the README, the page and the form."""

from collections.abc import Callable, Iterable
from typing import Any

from django.utils.translation import get_language, ngettext, override
from django.utils.translation import gettext as _

from mekiki.config.messages import join_sentences
from mekiki.exports.models import LabelSet
from mekiki.learning.figures import count
from mekiki.quality.certificate_facts import percent
from mekiki.quality.certificates import later_label_count
from mekiki.quality.models import Certificate
from mekiki.quality.stop_reasons import StopReason
from verification.label_set import format as form


def machine_facts(label_set: LabelSet, record: dict[str, Any] | None) -> dict[str, Any]:
    """Return what set the machine labels of a label set, for its manifest, with a statement in two languages.

    record: of their certificate; None for predictions that no certificate covers.
    """
    certificate = label_set.certificate
    later = later_label_count(certificate) if certificate is not None else 0

    def sentences() -> str:
        if record is None:
            return _uncertified(label_set)
        left_out = [_later_left_out(record["certificate"], later)] if later else []
        return join_sentences([_certified(label_set.machine_labels, record), *left_out])

    return {
        "kind": form.UNCERTIFIED if record is None else form.CERTIFIED,
        "certificate": record["certificate"] if record is not None else None,
        "later_labels_left_out": later,
        "statement": _in_both(sentences),
    }


def _in_both(sentences: Callable[[], str]) -> dict[str, str]:
    statement = {}
    for language in ("en", "ja"):
        with override(language):
            statement[language] = sentences()
    return statement


def _certified(shown: int, record: dict[str, Any]) -> str:
    protocol, claim = record["protocol"], record["claim"]
    values = {
        "number": record["certificate"],
        "left": count(claim["left"]),
        "promised": count(record["promised"]),
        "alpha": percent(protocol["alpha"]),
        "risk": percent(protocol["delta"]),
        "shown": count(shown),
        "audits": count(len(record["audited"])),
    }
    text = (
        _(
            "Certificate %(number)s left %(left)s labels to the machine. At most %(promised)s of them "
            "(%(alpha)s) are wrong, compared with the decisions of the reviewers. The risk that this "
            "statement is false is at most %(risk)s. It was tested on %(audits)s images that were drawn at "
            "random and judged without the prediction."
        )
        % values
    )
    if shown != claim["left"]:
        rest = (
            _(
                "This label set holds %(shown)s of these labels. People have decided, skipped, flagged or "
                "excluded the other images since, or these images were not chosen for the label set. The "
                "largest number of wrong labels stays the same."
            )
            % values
        )
        text = join_sentences([text, rest])
    return text


def _later_left_out(number: int, labels: int) -> str:
    return ngettext(
        "Left out: %(labels)s label that certificate %(number)s set for an image that was imported after its "
        "freeze. A label set holds only labels of images that the test of the certificate covers.",
        "Left out: %(labels)s labels that certificate %(number)s set for images that were imported after its "
        "freeze. A label set holds only labels of images that the test of the certificate covers.",
        labels,
    ) % {"labels": count(labels), "number": number}


def _uncertified(label_set: LabelSet) -> str:
    return _(
        "The labels set by machine in this label set are NOT certified. They are predictions with a "
        "confidence of %(threshold)s or more. No test bounds how many of them are wrong: do not use them "
        "where labels of people are required."
    ) % {"threshold": label_set.machine_threshold}


def machine_sentence(fixed: dict[str, Any] | None, language: str | None = None) -> str:
    """Return the statement of `machine_facts` in a language. The default is the reader's language.

    fixed: the facts in the snapshot; None for a label set without machine labels or of an older version.
    """
    if not fixed:
        return ""
    chosen = "ja" if (language or get_language() or "en").startswith("ja") else "en"
    return str(fixed["statement"][chosen])


def reason_of(certificate: Certificate) -> str:
    """Return why a certificate was stopped, or an empty text."""
    return str(StopReason(certificate.stop_reason).label) if certificate.stop_reason else ""


def not_accepted(certificate: Certificate) -> str:
    """Return the message for a certificate whose labels cannot be written into a new label set."""
    return _(
        "The labels of certificate %(number)s are not in use any more: %(state)s (%(reason)s). Nothing was "
        "written. Freeze people’s labels only, or start a new certificate."
    ) % {
        "number": certificate.version,
        "state": certificate.get_state_display(),
        "reason": reason_of(certificate) or "–",
    }


def no_certificate() -> str:
    """Return the message if no certificate of the dataset has set labels."""
    return _(
        "No certificate is in use in this dataset, so there are no certified labels. Nothing was written. "
        "Start a certificate on the quality page, or freeze people’s labels only."
    )


def stopped_sentences(certificates: Iterable[Certificate]) -> list[str]:
    """Return a sentence for each stopped certificate whose labels are not offered any more.

    A certificate that a newer one replaced is left out, because the labels of the newer one are offered.
    """
    stopped = (Certificate.State.SUSPENDED, Certificate.State.REVOKED)
    return [
        _("The %(labels)s labels of certificate %(number)s are left out: %(state)s (%(reason)s).")
        % {
            "labels": count(certificate.accepted),
            "number": certificate.version,
            "state": certificate.get_state_display(),
            "reason": reason_of(certificate) or "–",
        }
        for certificate in certificates
        if certificate.state in stopped and certificate.stop_reason != StopReason.REPLACED
    ]


def later_sentences(certificate: Certificate | None) -> list[str]:
    """Return a sentence about the labels of later images, which no label set of this certificate holds."""
    later = later_label_count(certificate) if certificate is not None else 0
    return [_later_left_out(certificate.version, later)] if certificate is not None and later else []


def stopped_since(label_set: LabelSet) -> str:
    """Return a warning if the certificate of a frozen label set was stopped since, or an empty text."""
    certificate = label_set.certificate
    if certificate is None or certificate.state == Certificate.State.ACCEPTED:
        return ""
    return _(
        "Certificate %(number)s is not in use any more: %(state)s (%(reason)s). The statement of this label "
        "set is about the predictions that were frozen and tested; look at the certificate before you use it."
    ) % {
        "number": certificate.version,
        "state": certificate.get_state_display(),
        "reason": reason_of(certificate) or "–",
    }
