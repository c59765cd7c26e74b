"""The signature by which one signing key endorses the next."""

from verification import signing
from verification.canonical import canonical


def endorsement_text(*, previous: str, fingerprint: str) -> bytes:
    """Return the message that a key signs when another key replaces it.

    The message is the canonical JSON of both fingerprints.
    """
    return canonical({"format": "mekiki-key-rotation", "previous": previous, "fingerprint": fingerprint})


def is_link(previous_pem: bytes, previous: str, fingerprint: str, endorsement: bytes) -> bool:
    """Return whether the previous key signed for the key with this fingerprint."""
    text = endorsement_text(previous=previous, fingerprint=fingerprint)
    return signing.is_signed_by(previous_pem, endorsement, text)
