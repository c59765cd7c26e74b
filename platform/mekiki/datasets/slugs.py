"""Readable addresses from names in any script (docs/decisions/0022), and checks that an address is free."""

import re
import unicodedata
from functools import cache
from threading import Lock
from typing import Any

from anyascii import anyascii
from django.core.exceptions import ValidationError
from django.utils.text import slugify
from django.utils.translation import gettext as _

from mekiki.datasets.models import Dataset, DatasetAddress

MAX_LENGTH = 60
# Maximum length of an address from a name. It leaves room for "-2", "-3" …
MADE_LENGTH = 50
RESERVED = frozenset({"new", "api", "admin", "static", "accounts", "datasets"})
# Kana, kanji, and the signs between them. Names that have only kanji are read as Japanese.
_JAPANESE = re.compile(r"[々〆〇ヶ\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_WELL_FORMED = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")
_lock = Lock()


@cache
def _romaniser() -> Any:
    """Return the converter from Japanese to Latin letters. Its dictionary is loaded at first use."""
    import cutlet

    return cutlet.Cutlet()


def slug_from_name(name: str) -> str:
    """Return an ASCII address for a name, or "" if no letter is left.

    Example: 「傷の検査」 gives "kizu-no-kensa".
    """
    text = unicodedata.normalize("NFKC", name[:200])
    if _JAPANESE.search(text):
        others = "".join(c if c.isascii() or _JAPANESE.match(c) else anyascii(c) for c in text)
        with _lock:
            text = _romaniser().slug(others) or anyascii(others)
    else:
        text = anyascii(text)
    made = slugify(text)[:MADE_LENGTH].strip("-_")
    return f"{made}-dataset" if made in RESERVED else made


def free_suggestion(name: str) -> str:
    """Return an address for a name that no dataset has or had, or "" if the name gives none."""
    made = slug_from_name(name)
    if not made:
        return ""
    taken = set(DatasetAddress.objects.filter(slug__startswith=made).values_list("slug", flat=True))
    return next(slug for number in range(len(taken) + 1) if (slug := numbered(made, number)) not in taken)


def numbered(base: str, number: int) -> str:
    """Return the number-th address to try: "scratches", "scratches-2", …"""
    return base if number == 0 else f"{base}-{number + 1}"


def validate_slug(slug: str, dataset: Dataset | None = None) -> str:
    """Return an address that a user typed, in lower case.

    Raises ValidationError if the address is malformed, reserved, or belongs or belonged to another dataset.
    `dataset` may take its own former address again.
    """
    slug = slug.strip().lower()
    if len(slug) > MAX_LENGTH or not _WELL_FORMED.fullmatch(slug):
        raise ValidationError(
            _(
                "An address has letters a to z, digits and hyphens, and at most %(most)d of them; it begins "
                "and ends "
                "with a letter or digit. Nothing was saved."
            )
            % {"most": MAX_LENGTH},
            code="malformed_address",
        )
    if slug in RESERVED:
        raise ValidationError(
            _("This address is reserved. Nothing was saved. Choose another."), code="reserved"
        )
    owner = DatasetAddress.objects.filter(slug=slug).first()
    if owner is not None and (dataset is None or owner.dataset_id != dataset.pk):
        raise address_taken_error()
    return slug


def address_taken_error() -> ValidationError:
    """Return the error for an address that belongs to another dataset."""
    return ValidationError(
        _("Another dataset has this address, or had it before. Nothing was saved. Choose another."),
        code="address_taken",
    )
