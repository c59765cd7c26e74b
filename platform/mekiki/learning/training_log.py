"""The log of a training run: stored as codes with values and shown in the user's language.

Each line is one step as JSON text: {"at": ISO time, "code": …, "values": {…}}. The codes come from the
worker's training stage and from workers.heads.log. Any other line is plain text from an older version and is
shown unchanged.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mekiki.config import clock
from mekiki.learning import reasons
from mekiki.learning.figures import count, decimal, percent
from mekiki.learning.models import Head

Values = dict[str, Any]


def add(log: str, code: str, values: Values) -> str:
    """Return the log with one more line, dated now. Raises TypeError if a value is not JSON."""
    at = clock.now().isoformat(timespec="seconds")
    line = json.dumps({"at": at, "code": code, "values": values}, ensure_ascii=False)
    return f"{log}\n{line}" if log else line


def log_in_words(log: str) -> str:
    """Return the log as sentences, line by line, with the time of day in the site's time zone."""
    return "\n".join(_sentence_of_line(line) for line in log.split("\n"))


def sentence(code: str, values: Values) -> str:
    """Return one step as a sentence. An unknown code is shown unchanged, with its values."""
    tell = SENTENCES.get(code)
    try:
        text = tell(values) if tell else _plain(code, values)
    except (KeyError, AttributeError, TypeError, ValueError, ArithmeticError):
        text = _plain(code, values)
    return " ".join(text.split())  # an error text may contain line breaks


def _sentence_of_line(line: str) -> str:
    try:
        entry = json.loads(line)
        code, values, at = entry["code"], entry["values"], _time(entry.get("at"))
    except (ValueError, TypeError, KeyError):
        return line
    if not isinstance(code, str) or not isinstance(values, dict):
        return line
    text = sentence(code, values)
    return f"{timezone.localtime(at):%H:%M:%S}  {text}" if at else text


def _time(text: Any) -> datetime | None:
    at = parse_datetime(text) if isinstance(text, str) else None
    return at if at is not None and timezone.is_aware(at) else None


def _plain(code: str, values: Values) -> str:
    shown = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
    return f"{code} ({shown})" if shown else code


def _kind(kind: str) -> str:
    return str(dict(Head.Kind.choices).get(kind, kind))


def _learning_from(v: Values) -> str:
    return ngettext(
        "%(labels)s label is used for training; %(images)s images have an embedding.",
        "%(labels)s labels are used for training; %(images)s images have an embedding.",
        v["labels"],
    ) % {"labels": count(v["labels"]), "images": count(v["images"])}


def _made_with(v: Values) -> str:
    return _("Encoder %(encoder)s (%(digest)s…), prompt set v%(version)s, seed %(seed)s.") % {
        "encoder": v["encoder"],
        "digest": v["digest"],
        "version": v["prompt_set"],
        "seed": v["seed"],
    }


def _decisions_differ(v: Values) -> str:
    return ngettext(
        "Reviewers disagree about %(shown)s image: it counts for each label by its share of the decisions.",
        "Reviewers disagree about %(shown)s images: they count for each label by its share of the decisions.",
        v["images"],
    ) % {"shown": count(v["images"])}


def _labels(v: Values) -> str:
    return _(
        "%(seen)s of %(classes)s labels have images to learn from, %(n)s in all; an embedding has "
        "%(dimensions)s dimensions."
    ) % {name: count(v[name]) for name in ("n", "seen", "classes", "dimensions")}


def _unlabelled(v: Values) -> str:
    return ngettext(
        "%(n)s label has no image for training yet: only its prompts are used.",
        "%(n)s labels have no image for training yet: only their prompts are used.",
        v["classes"],
    ) % {"n": count(v["classes"])}


def _candidate(v: Values) -> str:
    shown = {"kind": _kind(v["kind"]), "loss": decimal(v["log_loss"])}
    if v["gap"] > 0:
        text = _("“%(kind)s”: cross-validated log-loss %(loss)s, %(gap)s ± %(error)s above the best.")
        shown |= {"gap": decimal(v["gap"]), "error": decimal(v["gap_error"])}
    else:
        text = _("“%(kind)s”: cross-validated log-loss %(loss)s, the best.")
    sentence = text % shown
    return _("%(sentence)s This kind is used.") % {"sentence": sentence} if v["taken"] else sentence


def _cross_validated(v: Values) -> str:
    return _(
        "On the reviewed labels, cross-validated: accuracy %(agreement)s (prompts alone "
        "%(prompts)s), log-loss %(loss)s, calibration error %(error)s. These images are hard: the "
        "figures do not estimate the accuracy on all images."
    ) % {
        "agreement": percent(v["cv_accuracy"]),
        "prompts": percent(v["zero_shot_reviewed_accuracy"]),
        "loss": decimal(v["log_loss"]),
        "error": decimal(v["calibration_error"]),
    }


def _verdict(v: Values) -> str:
    text = _("Promoted. %(why)s") if v["promoted"] else _("The head in use stays. %(why)s")
    return text % {"why": reasons.sentence(v["reason"])}


def _predicting(v: Values) -> str:
    return ngettext(
        "Head #%(version)s predicts %(shown)s image.",
        "Head #%(version)s predicts %(shown)s images.",
        v["images"],
    ) % {"version": v["head"], "shown": count(v["images"])}


SENTENCES: dict[str, Callable[[Values], str]] = {
    # Codes of the worker's training stage.
    "tried_again": lambda v: _("Tried again: attempt %(n)s.") % {"n": count(v["attempt"])},
    "learning_from": _learning_from,
    "made_with": _made_with,
    "decisions_differ": _decisions_differ,
    "predicting": _predicting,
    "verdict": _verdict,
    "stopped": lambda v: _("Stopped by a person."),
    "failed": lambda v: _("The run failed: %(error)s") % {"error": reasons.for_reader(v["error"])},
    # Codes of workers.heads.log, about the training of a head.
    "labels": _labels,
    "unlabelled": _unlabelled,
    "few_labels": lambda v: _(
        "Fewer than about two images for each label: a logistic head with the prompts as a prior of fixed "
        "strength, uncalibrated."
    ),
    "candidate": _candidate,
    "usual_stays": lambda v: _(
        "The usual kind stays: the best kind is better by no more than two standard errors."
    ),
    "text_scale": lambda v: (
        _("Scale of the prompts: %(scale)s (1 is the scale of the encoder, 0 leaves the prompts out).")
        % {"scale": decimal(v["scale"], 2)}
    ),
    "cross_validated": _cross_validated,
    "calibrated": lambda v: (
        _("Temperature %(temperature)s; estimated label noise %(noise)s (from out-of-fold scores).")
        % {"temperature": decimal(v["temperature"]), "noise": percent(v["label_noise"])}
    ),
}
