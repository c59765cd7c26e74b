"""Why work ended early, kept in every language of the site, so that anybody who reads it understands it."""

from collections.abc import Callable

from django.conf import settings
from django.utils import translation

Texts = dict[str, str]


def in_every_language(sentence: Callable[[], str]) -> Texts:
    """The sentence in each language of the site: {language: sentence}."""
    texts = {}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            texts[language] = sentence()
    return texts


def for_reader(text: str | Texts) -> str:
    """A sentence that was kept in every language in the reader's; one that was kept in a single language, as it is."""
    if not isinstance(text, dict):
        return str(text)
    return text.get((translation.get_language() or "").split("-")[0]) or next(iter(text.values()), "")
