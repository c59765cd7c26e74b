"""Search in embeddings: the index, the nearest images, and search texts that a worker embeds."""

from mekiki.learning.search.neighbours import TOP, Neighbours, SearchTooSlowError, nearest, vector_of
from mekiki.learning.search.serving import serving_encoder
from mekiki.learning.search.tending import ask_for_index, tend
from mekiki.learning.search.texts import Asked, Problem, ask

__all__ = [
    "TOP",
    "Asked",
    "Neighbours",
    "Problem",
    "SearchTooSlowError",
    "ask",
    "ask_for_index",
    "nearest",
    "serving_encoder",
    "tend",
    "vector_of",
]
