"""The second step of a login: authenticator apps, passkeys and recovery codes, stored by django-allauth.

allauth keeps the rows, speaks WebAuthn and resumes a login after its second step; the rules, events and pages are
ours (docs/decisions/0032).
"""
