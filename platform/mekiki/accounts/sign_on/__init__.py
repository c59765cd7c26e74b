"""Single sign-on by OpenID Connect (docs/decisions/0033). django-allauth implements OAuth 2.

An identity (issuer and subject) belongs to a user because the user linked it, or because its first sign-on
created the account. No identity is ever linked by name or mail address.
"""
