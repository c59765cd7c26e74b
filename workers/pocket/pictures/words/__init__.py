"""Words of the shop floor, in English and Japanese, for everything that the picture generator draws."""

from .phrases import SEEN
from .states import ADJECTIVE, BARE, STATE
from .things import SUBJECT, SURFACE_OF
from .traits import FINISH, TONE

__all__ = ["ADJECTIVE", "BARE", "FINISH", "SEEN", "STATE", "SUBJECT", "SURFACE_OF", "TONE"]
