"""open_clip encoders: images and texts → unit vectors.

Importing this package imports neither torch nor open_clip.
"""

from .encoder import Encoder
from .errors import ENCODER_CODES, EncoderError, OtherVectorsError, PictureError
from .loading import load_encoder
from .results import EncodedBatch, EncodedChunk

__all__ = [
    "ENCODER_CODES",
    "EncodedBatch",
    "EncodedChunk",
    "Encoder",
    "EncoderError",
    "OtherVectorsError",
    "PictureError",
    "load_encoder",
]
