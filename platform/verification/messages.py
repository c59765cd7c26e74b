"""The mark of sentences for the translation catalogues."""


def gettext_noop(text: str) -> str:
    """Return the text. The name marks a sentence for the catalogues without an import of Django."""
    return text
