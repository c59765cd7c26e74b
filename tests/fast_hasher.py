"""A fast password hasher.

Its hashes have Django's own format, so a real server can read them.
"""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class FastHasher(PBKDF2PasswordHasher):
    """PBKDF2 with one round. The tests hash hundreds of times and protect no real password."""

    iterations = 1
