"""What a password may be, after NIST SP 800-63B: length and known words count, composition does not."""

import unicodedata

LONGEST = 256


def normalize(password: str) -> str:
    """Return the password in the form that is stored: NFKC, so that full-width and composed letters are equal."""
    text = password[: 4 * LONGEST].encode(errors="replace").decode()
    return unicodedata.normalize("NFKC", text)
