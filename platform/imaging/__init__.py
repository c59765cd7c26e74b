"""The image decoder for everything that people see and encoders embed (docs/decisions/0018).

The packages `mekiki` and `workers.encoders` both import this package. It imports neither Django nor torch.
"""

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
