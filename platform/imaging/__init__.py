"""The image decoder for everything that people see and encoders embed (docs/decisions/0018).

The packages `mekiki` and `workers.encoders` both import this package. It imports neither Django nor torch.
Every process of the platform sets the limits of the decoder, and few decode. Therefore the modules are
imported when a name is used for the first time.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imaging.decoding import FORMATS, Decoded, decode, decoded
    from imaging.depth import Window, apply_window, estimate
    from imaging.errors import ImagingError
    from imaging.headers import Header, deep_sample, inspect
    from imaging.limits import MAX_PIXELS, pixel_limit, set_pixel_limit
    from imaging.memory import budget as memory_budget
    from imaging.pages import split_pages
    from imaging.values import deep_values

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "Decoded",
    "Header",
    "ImagingError",
    "Window",
    "apply_window",
    "decode",
    "decoded",
    "deep_sample",
    "deep_values",
    "estimate",
    "inspect",
    "memory_budget",
    "pixel_limit",
    "set_pixel_limit",
    "split_pages",
]

# Name → its module.
_PLACES = {
    **dict.fromkeys(("FORMATS", "Decoded", "decode", "decoded"), "imaging.decoding"),
    **dict.fromkeys(("Window", "apply_window", "estimate"), "imaging.depth"),
    "ImagingError": "imaging.errors",
    **dict.fromkeys(("Header", "deep_sample", "inspect"), "imaging.headers"),
    **dict.fromkeys(("MAX_PIXELS", "pixel_limit", "set_pixel_limit"), "imaging.limits"),
    "memory_budget": "imaging.memory",
    "split_pages": "imaging.pages",
    "deep_values": "imaging.values",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_PLACES[name])
    value = globals()[name] = getattr(module, "budget" if name == "memory_budget" else name)
    return value
