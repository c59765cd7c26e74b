"""Numbers formatted in the user's language, for pages and for generated sentences."""

from django.utils import formats


def count(value: int | None) -> str:
    """Format an integer: 12345 → "12,345" (in the user's language), None → "–"."""
    return "–" if value is None else formats.number_format(value, 0, use_l10n=True, force_grouping=True)


def decimal(value: float, digits: int = 3) -> str:
    """Format a decimal number: 0.43219 → "0.432" (in the user's language)."""
    # Round first, because Django truncates the digits of a float. Adding zero avoids “-0.000”.
    return formats.number_format(round(value, digits) + 0.0, digits, use_l10n=True, force_grouping=True)


def percent(value: float | None, digits: int = 1) -> str:
    """Format a share as a percentage: 0.9342 → "93.4 %", None → "–".

    A value below 1 is never rounded up to 100 %, and a value above 0 is never rounded down to 0 %.
    """
    if value is None:
        return "–"
    shown = round(value * 100, digits)
    step = 10**-digits
    if value < 1 and shown >= 100:
        shown = 100 - step
    if value > 0 and shown <= 0:
        shown = step
    return f"{formats.number_format(shown, digits, use_l10n=True)} %"
