"""Search in embeddings: the index, the nearest images, and search texts that a worker embeds."""

from mekiki.learning.search.neighbours import (
    MAX_HITS,
    Neighbours,
    SearchTooSlowError,
    nearest_images,
    vector_of,
)
from mekiki.learning.search.serving import serving_detail, serving_encoder
from mekiki.learning.search.tending import enqueue_index_build, maintain_search
from mekiki.learning.search.texts import Problem, TextVectorResult, find_text_vector

__all__ = [
    "MAX_HITS",
    "Neighbours",
    "Problem",
    "SearchTooSlowError",
    "TextVectorResult",
    "enqueue_index_build",
    "find_text_vector",
    "maintain_search",
    "nearest_images",
    "serving_detail",
    "serving_encoder",
    "vector_of",
]
