"""Explanations of a prediction: parts of the score, vectors of prompts, and heat maps.

Workers fill in what needs an encoder. The arithmetic on stored vectors runs here.
"""

from mekiki.learning.explaining.heat_maps import (
    HeatMapState,
    OpenHeatMapError,
    delete_unused_heat_maps,
    heat_map_state,
    request_heat_map,
)
from mekiki.learning.explaining.prompts import PromptVectors, find_prompt_vectors
from mekiki.learning.explaining.requests import prepare_encoder
from mekiki.learning.explaining.score import PromptShare, ScoreParts, explain_score
from mekiki.learning.explaining.weights import LinearParts, MalformedHeadError, read_parts

__all__ = [
    "HeatMapState",
    "LinearParts",
    "MalformedHeadError",
    "OpenHeatMapError",
    "PromptShare",
    "PromptVectors",
    "ScoreParts",
    "delete_unused_heat_maps",
    "explain_score",
    "find_prompt_vectors",
    "heat_map_state",
    "prepare_encoder",
    "read_parts",
    "request_heat_map",
]
