"""Single sign-on by OpenID Connect: django-allauth speaks OAuth 2, this package does the rest.

docs/decisions/0033. An identity (issuer and subject) belongs to a user because the user linked it, or because its first
sign-on made the account. Nothing is ever linked by name or mail address.
"""
