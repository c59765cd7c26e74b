"""Words for prompts in English and Japanese: a glossary of inspection terms, and phrases around them."""

from mekiki.labeling.words.glossary import Concept, concepts, find_concepts, names_of
from mekiki.labeling.words.phrases import PHRASES, PhraseGroup, fill_phrases

__all__ = ["PHRASES", "Concept", "PhraseGroup", "concepts", "fill_phrases", "find_concepts", "names_of"]
