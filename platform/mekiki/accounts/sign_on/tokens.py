"""Checks of an ID token (OpenID Connect Core 1.0, 3.1.3.7). Only its subject and a name are stored."""

import hmac
import unicodedata
from dataclasses import dataclass
from typing import Any

import jwt
from allauth.socialaccount.models import SocialAccount
from django.conf import settings

from mekiki.accounts.sign_on.failures import SignOnRefused

# Signatures with a public key. "none" and signatures with a shared secret are refused.
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
LEEWAY = 60  # seconds that the clocks of provider and site may differ
LONGEST_SUBJECT = SocialAccount._meta.get_field("uid").max_length or 0
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.InvalidAudienceError, "audience"),
    (jwt.InvalidSignatureError, "signature"),
)


@dataclass(frozen=True)
class Identity:
    """The person who has signed on.

    `auth_time` is when the provider last asked for a proof of identity, in Unix seconds, or None if it is not
    stated.
    """

    subject: str
    name: str
    groups: frozenset[str]
    second_factor: bool
    auth_time: int | None


def verify_id_token(id_token: str, *, keys: Any, issuer: str, client_id: str, nonce: str) -> dict[str, Any]:
    """Return the claims of a token of this provider for this site and this sign-on.

    Raises SignOnRefused for any other token.
    """
    try:
        header = jwt.get_unverified_header(id_token)
        if str(header.get("typ", "JWT")).lower() != "jwt" or header.get("alg") not in ALGORITHMS:
            raise SignOnRefused("token")
        claims: dict[str, Any] = jwt.decode(
            id_token,
            _key_of(header, keys),
            algorithms=ALGORITHMS,
            issuer=issuer,
            audience=client_id,
            leeway=LEEWAY,
            options={"require": ["iss", "sub", "aud", "exp", "iat"], "enforce_minimum_key_length": True},
        )
    except jwt.PyJWTError as error:
        reason = next((code for kind, code in _REASONS if isinstance(error, kind)), "token")
        raise SignOnRefused(reason) from None
    audience = claims["aud"]
    if claims.get("azp", client_id) != client_id or (
        isinstance(audience, list) and len(audience) > 1 and "azp" not in claims
    ):
        raise SignOnRefused("audience")
    if not nonce or not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise SignOnRefused("nonce")
    return claims


def _key_of(header: dict[str, Any], keys: Any) -> jwt.PyJWK:
    """Return the key that the token names, or the only key. Raises SignOnRefused for no or several keys."""
    candidates = [key for key in keys["keys"] if key.get("use", "sig") == "sig" and key.get("kty") != "oct"]
    if "kid" in header:
        candidates = [key for key in candidates if key.get("kid") == header["kid"]]
    if len(candidates) != 1:
        raise SignOnRefused("key")
    key = candidates[0]
    return jwt.PyJWK(key, algorithm=None if "alg" in key else header["alg"])


def lacks_claims(claims: dict[str, Any]) -> bool:
    """Return whether the token lacks a claim that the settings name. The provider is then asked for it."""
    names = [settings.OIDC_NAME_CLAIM, *([settings.OIDC_GROUPS_CLAIM] if settings.OIDC_GROUPS else [])]
    return any(name not in claims for name in names)


def add_claims(claims: dict[str, Any], more: dict[str, Any]) -> None:
    """Add name and groups from the userinfo answer. Raises SignOnRefused if it is about another subject."""
    if more.get("sub") != claims["sub"]:
        raise SignOnRefused("subject")
    for name in (settings.OIDC_NAME_CLAIM, settings.OIDC_GROUPS_CLAIM):
        if name in more:
            claims.setdefault(name, more[name])


def identity_of(claims: dict[str, Any]) -> Identity:
    """Return the identity in the claims.

    Raises SignOnRefused if the subject cannot be stored, or if no group of the person may sign on.
    """
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        raise SignOnRefused("subject")
    groups = frozenset(_texts(claims.get(settings.OIDC_GROUPS_CLAIM)))
    if settings.OIDC_GROUPS and not groups & set(settings.OIDC_GROUPS):
        raise SignOnRefused("group")
    methods = {*_texts(claims.get("amr")), *_texts(claims.get("acr"))}
    auth_time = claims.get("auth_time")
    return Identity(
        subject=subject,
        name=_name(claims.get(settings.OIDC_NAME_CLAIM)),
        groups=groups,
        second_factor=bool(methods & set(settings.OIDC_SECOND_FACTOR)),
        auth_time=auth_time if isinstance(auth_time, int) and not isinstance(auth_time, bool) else None,
    )


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]


def _name(value: Any) -> str:
    text = unicodedata.normalize("NFKC", value).strip() if isinstance(value, str) else ""
    return "".join(letter for letter in text if letter.isprintable())[:150]
