"""Output of `mekiki quota …`: the storage limits."""

import json
from decimal import Decimal
from gettext import gettext as _
from typing import TYPE_CHECKING, Any

from mekiki.config.cli.bodies import load_django
from mekiki.config.plain import PlainError, UnusableFileError

if TYPE_CHECKING:
    from mekiki.datasets.models import Dataset

NONE = "none"  # the value that removes a limit


def show(slug: str, *, as_json: bool) -> None:
    """Print what a dataset, or the platform, stores and may store."""
    load_django()
    _print(slug, _dataset(slug) if slug else None, as_json=as_json)


def change(slug: str, *, images: str | None, gb: str | None, as_json: bool) -> None:
    """Change the given limits. Other limits stay as they are."""
    if images is None and gb is None:
        raise UnusableFileError(
            _("Nothing was changed: give a limit with --images or --gb, or “none” to remove a limit.")
        )
    given: dict[str, int | None] = {}
    if images is not None:
        given["max_images"] = _number(images)
    if gb is not None:
        given["max_bytes"] = _bytes(gb)
    load_django()
    from mekiki.datasets import quotas, services
    from mekiki.datasets.models import PlatformQuota

    dataset = _dataset(slug) if slug else None
    now = dataset or PlatformQuota.objects.filter(pk=PlatformQuota.ONLY).first()
    limits = quotas.limits_of(now) | given
    if dataset is not None:
        dataset = services.set_dataset_limits(dataset=dataset, user=None, **limits)
    else:
        services.set_platform_limits(user=None, **limits)
    _print(slug, dataset, as_json=as_json)


def _dataset(slug: str) -> "Dataset":
    from mekiki.datasets.models import Dataset

    dataset = Dataset.objects.filter(slug=slug).first()
    if dataset is None:
        raise PlainError(_("There is no dataset with the address “%(slug)s”.") % {"slug": slug})
    return dataset


def _number(text: str) -> int | None:
    if text == NONE:
        return None
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise UnusableFileError(
            _("“%(text)s” is no limit of images: a whole number from 1, or “none”. Nothing was changed.")
            % {"text": text}
        )
    return int(text)


def _bytes(text: str) -> int | None:
    if text == NONE:
        return None
    try:
        size = int(Decimal(text) * 1024**3)
    except (ArithmeticError, ValueError):
        size = 0
    if size < 1:
        raise UnusableFileError(
            _("“%(text)s” is no size in GB: a number above 0, or “none”. Nothing was changed.")
            % {"text": text}
        )
    return size


def _print(slug: str, dataset: "Dataset | None", *, as_json: bool) -> None:
    from django.template.defaultfilters import filesizeformat

    from mekiki.datasets import quotas

    facts = quotas.dataset_quota(dataset) if dataset is not None else quotas.platform_quota()
    if as_json:
        print(json.dumps({"dataset": slug or None, **facts}, indent=2))
        return
    print(_("Dataset %(slug)s") % {"slug": slug} if slug else _("The whole platform"))
    shown: tuple[tuple[str, str, Any], ...] = (
        (_("Images"), "images", lambda n: f"{n:,}"),
        (_("Original files"), "bytes", filesizeformat),
    )
    for name, unit, form in shown:
        amount = facts[unit]
        limit = _("no limit") if amount["limit"] is None else form(amount["limit"])
        words = {"name": name, "used": form(amount["used"]), "limit": limit}
        print("  " + _("%(name)s: %(used)s stored, limit: %(limit)s") % words)
