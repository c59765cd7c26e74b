"""The labels of a dataset as a YAML file, written and read.

The file has the labels in the order of their keys, with prompts and guidelines. Reading it changes nothing:
the labels page shows the content, and an admin saves it there.
"""

from typing import Any

import yaml
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from mekiki.datasets.models import Dataset
from mekiki.labeling.selectors import active_labels, current_prompt_set, current_schema, prompts_of
from mekiki.labeling.text import MAX_LABELS

FORMAT = 1
MAX_BYTES = 1_000_000
_KNOWN = {"name", "code", "key", "critical", "none_of_these", "guideline", "guidelines", "prompts"}


class _Loader(yaml.SafeLoader):
    """YAML's safe loader without references: a small file of references can stand for gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):  # type: ignore[no-untyped-call]
            raise yaml.YAMLError(_("references (*name) are not read"))
        return super().compose_node(parent, index)


def write_schema(dataset: Dataset) -> str:
    """Return the labels in use as YAML."""
    prompts = prompts_of(current_prompt_set(dataset))
    version = current_schema(dataset)
    labels = []
    for label in active_labels(dataset):
        entry: dict[str, Any] = {"name": label.name, "key": label.position}
        entry |= {"code": label.code} if label.code else {}
        entry |= {"critical": True} if label.critical else {}
        entry |= {"none_of_these": True} if label.is_none else {}
        entry["prompts"] = prompts.get(label.pk, [])
        entry |= {"guideline": label.guideline} if label.guideline else {}
        entry |= {"guidelines": label.guideline_texts} if label.guideline_texts else {}
        labels.append(entry)
    facts = {"mekiki_labels": FORMAT, "dataset": dataset.name}
    facts |= {"schema_version": version.version} if version is not None else {}
    return str(yaml.safe_dump({**facts, "labels": labels}, allow_unicode=True, sort_keys=False, width=100))


def read_schema(data: bytes) -> list[dict[str, Any]]:
    """Return the labels of a file: dictionaries with the keys of `_KNOWN`, checked for their types.

    Raises ValidationError, with the place in the file, if it is no such file.
    """
    if len(data) > MAX_BYTES:
        raise _error(_("it has more than %(most)d MB") % {"most": MAX_BYTES // 1_000_000})
    try:
        content = yaml.load(data.decode("utf-8-sig"), Loader=_Loader)  # noqa: S506 (a safe loader)
    except (UnicodeDecodeError, RecursionError) as error:
        raise _error(str(error)) from None
    except (yaml.YAMLError, ValueError) as error:
        raise _error(" ".join(str(error).split())) from None
    if not isinstance(content, dict) or content.get("mekiki_labels") != FORMAT:
        raise _error(_("it does not begin with “mekiki_labels: %(format)d”") % {"format": FORMAT})
    labels = content.get("labels")
    if not isinstance(labels, list) or not 0 < len(labels) <= MAX_LABELS:
        raise _error(_("“labels” must be a list of 1 to %(most)d labels") % {"most": MAX_LABELS})
    return [_checked(number, entry) for number, entry in enumerate(labels, start=1)]


def _checked(number: int, entry: Any) -> dict[str, Any]:
    where = _("label %(number)d") % {"number": number}
    if not isinstance(entry, dict):
        raise _error(_("%(where)s is no mapping") % {"where": where})
    if unknown := sorted(str(key) for key in entry if key not in _KNOWN):
        raise _error(
            _("%(where)s has an unknown entry “%(name)s”") % {"where": where, "name": unknown[0][:40]}
        )
    texts = {name: entry.get(name, "") for name in ("name", "code", "guideline")}
    lists = {"prompts": entry.get("prompts", [])}
    languages = entry.get("guidelines", {})
    key = entry.get("key")
    fits = (
        all(isinstance(value, str) for value in texts.values())
        and isinstance(lists["prompts"], list)
        and all(isinstance(value, str) for value in lists["prompts"])
        and isinstance(languages, dict)
        and all(isinstance(part, str) for pair in languages.items() for part in pair)
        and (key is None or (isinstance(key, int) and not isinstance(key, bool) and 0 < key <= 10_000))
        and all(isinstance(entry.get(name, False), bool) for name in ("critical", "none_of_these"))
    )
    if not fits:
        raise _error(_("an entry of %(where)s has another type than in a saved file") % {"where": where})
    flags = {name: entry.get(name, False) for name in ("critical", "none_of_these")}
    return {**texts, **lists, **flags, "guidelines": languages, "key": key}


def _error(reason: str) -> ValidationError:
    return ValidationError(
        _(
            "The file was not read: %(reason)s. Nothing was changed. Save the labels of a dataset as a file "
            "to see the form."
        )
        % {"reason": reason[:300]},
        code="bad_labels_file",
    )
