"""How one signing key stands for the next. Knows neither Django nor the database."""

from mekiki.audit import signing
from mekiki.audit.canonical import canonical


def endorsement_text(*, previous: str, fingerprint: str) -> bytes:
    """Return what a key signs when another replaces it: both fingerprints, as canonical JSON."""
    return canonical({"format": "mekiki-key-rotation", "previous": previous, "fingerprint": fingerprint})


def is_link(previous_pem: bytes, previous: str, fingerprint: str, endorsement: bytes) -> bool:
    """Return whether the key before signed for the key with this fingerprint."""
    text = endorsement_text(previous=previous, fingerprint=fingerprint)
    return signing.is_signed_by(previous_pem, endorsement, text)
