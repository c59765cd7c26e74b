"""The provider of django-allauth and its requests to it, with checks of every answer."""

from typing import Any
from urllib.parse import quote_plus, urlsplit

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin, SocialToken
from allauth.socialaccount.providers.oauth2.client import OAuth2Client
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from mekiki.accounts.models import User
from mekiki.accounts.sign_on import provider, tokens
from mekiki.accounts.sign_on.failures import SignOnRefused, refuse_unreadable

SCOPES = ["openid", "profile"]


class SignOnProvider(OpenIDConnectProvider):
    """The provider in the settings. No provider is stored in the database."""

    def __init__(self, request: HttpRequest) -> None:
        app = SocialApp(
            provider=self.id,
            provider_id=provider.issuer_key(),
            name=provider.provider_name(),
            client_id=settings.OIDC_CLIENT_ID,
            settings={"server_url": settings.OIDC_ISSUER, "oauth_pkce_enabled": True, "scope": SCOPES},
        )
        super().__init__(request, app=app)

    def get_oauth2_adapter(self, request: HttpRequest) -> object:
        """Return the client that checks the answers of the provider."""
        return SignOnClient(request)


class TokenClient(OAuth2Client):
    """A client that sends client id and secret as RFC 6749 (2.3.1) requires."""

    consumer_key: str
    consumer_secret: str

    def get_redirect_url(self, authorization_url: str, scope: Any, extra_params: dict[str, str]) -> str:
        """Return the address at the provider. The endpoint may already have query parameters."""
        address = super().get_redirect_url(authorization_url, scope, extra_params)
        if "?" in authorization_url:
            return address.replace(f"{authorization_url}?", f"{authorization_url}&", 1)
        return address

    def get_access_token(self, code: Any, pkce_code_verifier: Any = None, extra_data: Any = None) -> Any:
        """Return the token response. Within basic authentication, id and secret are URL-encoded."""
        if self.basic_auth:
            self.consumer_key = quote_plus(self.consumer_key)
            self.consumer_secret = quote_plus(self.consumer_secret)
        return super().get_access_token(code, pkce_code_verifier=pkce_code_verifier, extra_data=extra_data)


class SignOnClient(OpenIDConnectOAuth2Adapter):
    """allauth's exchange of a code for tokens, with checks of the answers."""

    client_class = TokenClient
    state: dict[str, Any]

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request, provider.issuer_key())
        self.state = {}

    def get_provider(self) -> SignOnProvider:
        """Return the provider in the settings."""
        return SignOnProvider(self.request)

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        """Return the address of the callback, on the host of this request."""
        return request.build_absolute_uri(reverse("sign-on-callback"))

    def get_client(self, request: HttpRequest, app: Any) -> TokenClient:
        """Return the client for the token endpoint, with the secret."""
        app.secret = provider.client_secret()
        return super().get_client(request, app)

    @property
    def openid_config(self) -> dict[str, Any]:
        """Return the metadata of the provider.

        Raises SignOnRefused if the issuer is another one or an endpoint has no TLS.
        """
        if not hasattr(self, "_openid_config"):
            address = f"{settings.OIDC_ISSUER}/.well-known/openid-configuration"
            with refuse_unreadable():
                config = self._get(address)
                if str(config["issuer"]).rstrip("/") != settings.OIDC_ISSUER:
                    raise SignOnRefused("issuer")
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    _refuse_plain_http(config[name])
            self._openid_config = config
        return self._openid_config

    @property
    def basic_auth(self) -> bool:
        """Return whether the secret is sent in a header, which is the default of Discovery 1.0."""
        methods = self.openid_config.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        return "client_secret_post" not in methods

    def get_access_token_data(
        self, request: HttpRequest, app: Any, client: Any, pkce_code_verifier: Any = None
    ) -> Any:
        """Exchange the code for tokens."""
        with refuse_unreadable():
            return super().get_access_token_data(request, app, client, pkce_code_verifier=pkce_code_verifier)

    def parse_token(self, data: Any) -> SocialToken:
        """Return the access token. It is used to request claims and is not stored."""
        with refuse_unreadable():
            return SocialToken(token=str(data["access_token"]))

    def complete_login(
        self, request: HttpRequest, app: Any, token: SocialToken, **kwargs: Any
    ) -> SocialLogin:
        """Return the login of the person who has signed on.

        Raises SignOnRefused if a check of the answer fails.
        """
        with refuse_unreadable():
            config = self.openid_config
            claims = tokens.verify_id_token(
                kwargs["response"]["id_token"],
                keys=self._get(config["jwks_uri"]),
                issuer=config["issuer"],
                client_id=settings.OIDC_CLIENT_ID,
                nonce=str(self.state.get("nonce", "")),
            )
            if tokens.lacks_claims(claims) and config.get("userinfo_endpoint"):
                _refuse_plain_http(config["userinfo_endpoint"])
                bearer = {"Authorization": f"Bearer {token.token}"}
                tokens.add_claims(claims, self._get(config["userinfo_endpoint"], headers=bearer))
            identity = tokens.identity_of(claims)
        account = SocialAccount(
            provider=provider.issuer_key(), uid=identity.subject, extra_data={"name": identity.name}
        )
        login = SocialLogin(user=User(), account=account, provider=self.get_provider())
        login.identity = identity
        return login

    def _get(self, address: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
        with get_adapter().get_requests_session() as session:
            response = session.get(address, headers=headers)
            response.raise_for_status()
            content = response.json()
        if response.status_code != 200 or not isinstance(content, dict):
            raise SignOnRefused("answer")
        return content


def _refuse_plain_http(address: str) -> None:
    """Raise SignOnRefused for an address without TLS, unless the issuer has none (on this machine only)."""
    if urlsplit(address).scheme not in {"https", urlsplit(settings.OIDC_ISSUER).scheme}:
        raise SignOnRefused("answer")


class SignOnCallback(OAuth2CallbackView):
    """allauth's callback, which passes the state to the checks of the token."""

    adapter: SignOnClient

    def _get_state(
        self, request: HttpRequest, provider: Any
    ) -> tuple[dict[str, Any] | None, HttpResponse | None]:
        state, response = super()._get_state(request, provider)
        self.adapter.state = state or {}
        # RFC 9207: an issuer that is sent with the code must be the issuer in the settings.
        named = request.GET.get("iss", "").rstrip("/")
        if state is not None and named and named != settings.OIDC_ISSUER:
            return None, get_adapter().refuse(request, SignOnRefused("issuer"), state)
        return state, response
