"""Error sentences stored in every language of the site, so that every reader understands them."""

from collections.abc import Callable

from django.conf import settings
from django.utils import translation

TranslatedText = dict[str, str]


def in_every_language(sentence: Callable[[], str]) -> TranslatedText:
    """Return the sentence in each language of the site: {language: sentence}."""
    texts = {}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            texts[language] = sentence()
    return texts


def translate_stored_text(text: str | TranslatedText) -> str:
    """Return the text in the language of the reader.

    A text that was stored in a single language is returned unchanged.
    """
    if not isinstance(text, dict):
        return str(text)
    return text.get((translation.get_language() or "").split("-")[0]) or next(iter(text.values()), "")
