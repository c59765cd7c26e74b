"""The picture maker: parts and surfaces of several materials, with and without defects, and captions for them.

numpy, scipy and Pillow only. Everything is drawn from a seed: same specification, size and conditions, same picture.
"""

from .conditions import TRAINING, UNSEEN, Conditions
from .finishes import finishes_of, tones_of
from .scene import (
    FINISH_NAMES,
    HELD_OUT,
    STATES,
    SUBJECTS,
    TONE_NAMES,
    Drawing,
    Spec,
    choose,
    draw,
    draw_known,
    possible,
    states_of,
)

__all__ = [
    "FINISH_NAMES",
    "HELD_OUT",
    "STATES",
    "SUBJECTS",
    "TONE_NAMES",
    "TRAINING",
    "UNSEEN",
    "Conditions",
    "Drawing",
    "Spec",
    "choose",
    "draw",
    "draw_known",
    "finishes_of",
    "possible",
    "states_of",
    "tones_of",
]
