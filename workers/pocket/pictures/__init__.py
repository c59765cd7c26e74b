"""The picture generator: parts and surfaces, with and without defects, and captions for them.

There are several materials. The generator needs only numpy, scipy and Pillow. Every picture is drawn from a
seed: the same specification, size and conditions give the same picture.
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
    draw_with_masks,
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
    "draw_with_masks",
    "finishes_of",
    "possible",
    "states_of",
    "tones_of",
]
