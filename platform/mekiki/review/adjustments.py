"""Adjustments of the view: how a reviewer changed the picture on the screen, never the image itself."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from mekiki.review.errors import InvalidAnswerError

# Lowest and highest factor. 1 is the original. The sliders of the station have the same limits.
LEAST = 0.2
MOST = 4.0
CHANNELS = ("red", "green", "blue")


@dataclass(frozen=True)
class ViewAdjustments:
    """What the screen changed in the picture: factors (1 is the original), inversion, a single channel."""

    brightness: float = 1.0
    contrast: float = 1.0
    gamma: float = 1.0
    invert: bool = False
    channel: str | None = None

    def check(self) -> None:
        """Raise InvalidAnswerError if a factor is outside its limits or the channel is unknown."""
        factors = (self.brightness, self.contrast, self.gamma)
        if all(LEAST <= factor <= MOST for factor in factors) and self.channel in (None, *CHANNELS):
            return
        raise InvalidAnswerError(
            "bad_view",
            _(
                "The adjustments of the view are not valid. Nothing was recorded; reset them and answer "
                "again."
            ),
        )

    def as_json(self) -> dict[str, Any]:
        """Return what differs from the original: an empty dict for the original."""
        changed: dict[str, Any] = {
            name: round(float(factor), 3)
            for name in ("brightness", "contrast", "gamma")
            if (factor := getattr(self, name)) != 1
        }
        if self.invert:
            changed["invert"] = True
        if self.channel is not None:
            changed["channel"] = self.channel
        return changed


def adjustment_words(shown: dict[str, Any]) -> list[str]:
    """Return the adjustments in a decision's `shown` in words; an empty list for the original picture."""
    view = shown.get("view") or {}
    names = {"brightness": _("brightness"), "contrast": _("contrast"), "gamma": _("gamma")}
    words = [
        _("%(name)s %(percent)d %%") % {"name": name, "percent": round(view[key] * 100)}
        for key, name in names.items()
        if key in view and key != "gamma"
    ]
    if "gamma" in view:
        words.append(f"{names['gamma']} {view['gamma']:.2f}")
    if view.get("invert"):
        words.append(_("inverted"))
    channels = {"red": _("red channel"), "green": _("green channel"), "blue": _("blue channel")}
    if view.get("channel") in channels:
        words.append(channels[view["channel"]])
    return words
