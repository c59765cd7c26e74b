"""A form field for a share in [0, 1] that people enter in percent."""

from typing import Any

from django import forms


class PercentField(forms.FloatField):
    """A share that is entered and shown in percent. `initial` and the cleaned value are shares.

    least, most: bounds in percent.
    """

    def __init__(self, *, least: float = 0, most: float = 100, **kwargs: Any) -> None:
        widget = forms.NumberInput(attrs={"step": "any"})
        super().__init__(min_value=least, max_value=most, widget=widget, **kwargs)

    def clean(self, value: Any) -> float | None:
        """Return the share, or None for an empty field. Raises ValidationError as FloatField does."""
        percent = super().clean(value)
        return None if percent is None else percent / 100

    def prepare_value(self, value: Any) -> Any:
        """Return what the input shows: a share as a percentage, and what was typed as it was typed."""
        if not isinstance(value, int | float):
            return value
        percent = round(value * 100, 6)  # without the noise of binary fractions
        return int(percent) if percent == int(percent) else percent
