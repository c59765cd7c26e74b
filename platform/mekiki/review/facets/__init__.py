"""Facets of the gallery: the values of each filter, with the number of images that have them."""

from mekiki.review.facets.counting import EXACT_UP_TO, Count
from mekiki.review.facets.facets import BUCKETS, Facet, Facets, FacetValue, facets_of

__all__ = ["BUCKETS", "EXACT_UP_TO", "Count", "Facet", "FacetValue", "Facets", "facets_of"]
