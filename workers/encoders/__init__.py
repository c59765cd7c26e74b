"""open_clip encoders: images and texts → unit vectors. Importing this package imports neither torch nor open_clip."""

from .encoder import EncodedBatch, Encoder
from .errors import EncoderError
from .loading import load_encoder

__all__ = ["EncodedBatch", "Encoder", "EncoderError", "load_encoder"]
