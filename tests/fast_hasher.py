"""A password hasher that is quick. Its hashes are of Django's own kind, so a real server reads them as well."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class FastHasher(PBKDF2PasswordHasher):
    """PBKDF2 with one round: the tests hash hundreds of times and protect nobody's password."""

    iterations = 1
