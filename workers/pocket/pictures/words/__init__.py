"""Words of the shop floor, in English and Japanese, for everything that the picture generator draws."""

from .phrases import SENTENCE_FRAMES
from .states import ADJECTIVE, STATE, STATE_ALONE
from .things import SUBJECT, SURFACE_OF
from .traits import FINISH, TONE

__all__ = ["ADJECTIVE", "FINISH", "SENTENCE_FRAMES", "STATE", "STATE_ALONE", "SUBJECT", "SURFACE_OF", "TONE"]
