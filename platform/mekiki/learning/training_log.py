"""The log of a training run: stored as codes with values and shown in the user's language.

Each line is one step as JSON text: {"at": ISO time, "code": …, "values": {…}}. The codes come from the
worker's training stage and from workers.heads.log. Any other line is plain text from an older version and is
shown unchanged.
"""

import json
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from mekiki.config import clock
from mekiki.learning.messages import TRAINING_LOG

Values = dict[str, Any]


def add(log: str, code: str, values: Values) -> str:
    """Return the log with one more line, dated now. Raises TypeError if a value is no JSON scalar."""
    TRAINING_LOG.check(code, values)
    at = clock.now().isoformat(timespec="seconds")
    line = json.dumps({"at": at, "code": code, "values": values}, ensure_ascii=False)
    return f"{log}\n{line}" if log else line


def log_in_words(log: str) -> str:
    """Return the log as sentences, line by line, with the time of day in the site's time zone."""
    return "\n".join(_sentence_of_line(line) for line in log.split("\n"))


def sentence(code: str, values: Values) -> str:
    """Return one step as a sentence. An unknown code is shown with its values."""
    return " ".join(TRAINING_LOG.render(code, values).split())  # an error text may contain line breaks


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
