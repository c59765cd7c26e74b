"""Checking an ID token (OpenID Connect Core 1.0, 3.1.3.7). Of a token only the subject and a name are kept."""

import hmac
import unicodedata
from dataclasses import dataclass
from typing import Any

import jwt
from allauth.socialaccount.models import SocialAccount
from django.conf import settings

from mekiki.accounts.sign_on.failures import SignOnRefused

# Signatures with a public key. "none" and those with a shared secret are refused.
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
    """Who the provider says has signed on. `auth_time`: when the provider last asked, in seconds; None: it is silent."""

    subject: str
    name: str
    groups: frozenset[str]
    second_factor: bool
    auth_time: int | None


def verify(id_token: str, *, keys: Any, issuer: str, client_id: str, nonce: str) -> dict[str, Any]:
    """Return the claims of a token that this provider made for this site and this sign-on. SignOnRefused otherwise."""
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
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
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
    """Return the key of the provider that the token names; the only one where it names none."""
    found = [key for key in keys["keys"] if key.get("use", "sig") == "sig" and key.get("kty") != "oct"]
    if "kid" in header:
        found = [key for key in found if key.get("kid") == header["kid"]]
    if len(found) != 1:
        raise SignOnRefused("key")
    return jwt.PyJWK(found[0], algorithm=header["alg"] if "alg" not in found[0] else None)


def needed(claims: dict[str, Any]) -> bool:
    """Whether the token lacks a claim that is asked for, so that the provider has to be asked for it."""
    asked = [settings.OIDC_NAME_CLAIM, *([settings.OIDC_GROUPS_CLAIM] if settings.OIDC_GROUPS else [])]
    return any(name not in claims for name in asked)


def add_claims(claims: dict[str, Any], more: dict[str, Any]) -> None:
    """Add name and groups from the provider's answer about the same subject. SignOnRefused for another subject."""
    if more.get("sub") != claims["sub"]:
        raise SignOnRefused("subject")
    for name in (settings.OIDC_NAME_CLAIM, settings.OIDC_GROUPS_CLAIM):
        if name in more:
            claims.setdefault(name, more[name])


def identity_of(claims: dict[str, Any]) -> Identity:
    """Return what is used of the claims. SignOnRefused: no subject that can be stored, or no group that may sign on."""
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        raise SignOnRefused("subject")
    groups = frozenset(_texts(claims.get(settings.OIDC_GROUPS_CLAIM)))
    if settings.OIDC_GROUPS and not groups & set(settings.OIDC_GROUPS):
        raise SignOnRefused("group")
    shown = {*_texts(claims.get("amr")), *_texts(claims.get("acr"))}
    auth_time = claims.get("auth_time")
    return Identity(
        subject=subject,
        name=_name(claims.get(settings.OIDC_NAME_CLAIM)),
        groups=groups,
        second_factor=bool(shown & set(settings.OIDC_SECOND_FACTOR)),
        auth_time=auth_time if isinstance(auth_time, int) and not isinstance(auth_time, bool) else None,
    )


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str)]


def _name(value: Any) -> str:
    text = unicodedata.normalize("NFKC", value).strip() if isinstance(value, str) else ""
    return "".join(letter for letter in text if letter.isprintable())[:150]
