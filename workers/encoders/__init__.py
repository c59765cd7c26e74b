"""open_clip encoders: images and texts → unit vectors.

Importing this package imports neither torch nor open_clip.
"""

from .detail import detail_vector
from .encoder import Encoder
from .errors import ENCODER_CODES, EncoderError, PictureError, VectorMismatchError
from .loading import load_encoder
from .pipeline import stream_detail
from .results import EncodedBatch, EncodedChunk

__all__ = [
    "ENCODER_CODES",
    "EncodedBatch",
    "EncodedChunk",
    "Encoder",
    "EncoderError",
    "PictureError",
    "VectorMismatchError",
    "detail_vector",
    "load_encoder",
    "stream_detail",
]
