"""The second step of a login: authenticator apps, passkeys and recovery codes.

django-allauth stores the rows, implements WebAuthn and resumes a login after its second step. This package
holds the rules, the events and the pages (docs/decisions/0032).
"""
