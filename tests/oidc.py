"""A real OpenID provider (oidc-provider-mock) on this machine. A test may falsify its answers."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import flask
import httpx
import oidc_provider_mock
from werkzeug.serving import make_server

CALLBACK = "/accounts/sign-on/callback/"
Tamper = Callable[[str, flask.Response], flask.Response]


class Provider:
    """The provider as tests use it: its users, its client, and what a person does on its page."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.http = httpx.Client(base_url=issuer, follow_redirects=False, timeout=20)
        self.tamper: Tamper | None = None  # (path, answer) → answer
        self.requested_paths: list[str] = []  # paths, in order

    def register(self, site: str, method: str = "client_secret_basic") -> tuple[str, str]:
        """Register the site as a client and return its id and secret."""
        body = {"redirect_uris": [f"{site}{CALLBACK}"], "token_endpoint_auth_method": method}
        answer = self.http.post("/oauth2/clients", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["client_id"], answer.json()["client_secret"]

    def user(self, subject: str, **claims: Any) -> None:
        """Store the provider's claims about a subject.

        Claims of the token itself (iss, exp …) are overridden too.
        """
        assert self.http.put(f"/users/{subject}", json=claims).status_code == 204

    def sign_on(self, address: str, subject: str) -> str:
        """Log in at the provider as this subject and return the address of the redirect, without the host."""
        return self._answer(address, {"sub": subject})

    def cancel(self, address: str) -> str:
        """Press "Deny" at the provider and return the address of the redirect, without the host."""
        return self._answer(address, {"action": "deny"})

    def _answer(self, address: str, form: dict[str, str]) -> str:
        answer = self.http.post(address, data=form)
        assert answer.status_code == 302, answer.text
        parts = urlsplit(answer.headers["Location"])
        return f"{parts.path}?{parts.query}"


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Run the provider in a thread, on a free port of 127.0.0.1."""
    app = oidc_provider_mock.app(require_client_registration=True)
    holder: list[Provider] = []

    @app.after_request
    def falsify(response: flask.Response) -> flask.Response:
        provider = holder[0]
        provider.requested_paths.append(flask.request.path)
        return provider.tamper(flask.request.path, response) if provider.tamper is not None else response

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    holder.append(Provider(f"http://127.0.0.1:{server.server_port}"))
    thread.start()
    try:
        yield holder[0]
    finally:
        holder[0].http.close()
        server.shutdown()
        thread.join(5)
        server.server_close()


def configure_site(
    provider: Provider, settings: Any, folder: Path, site: str = "http://testserver", **more: Any
) -> None:
    """Configure this site for the provider, as an admin does.

    The secret is in a file that ends with a newline, as editors write it.
    """
    client_id, secret = provider.register(site, more.pop("method", "client_secret_basic"))
    file = folder / "client_secret"
    file.write_text(secret + "\n")
    settings.OIDC_ISSUER = provider.issuer
    settings.OIDC_CLIENT_ID = client_id
    settings.OIDC_CLIENT_SECRET_FILE = str(file)
    settings.OIDC_NAME = "Example Works"
    for name, value in more.items():
        setattr(settings, name, value)


def with_values(response: flask.Response, **values: Any) -> flask.Response:
    """Return a JSON answer with these values."""
    response.set_data(json.dumps({**json.loads(response.get_data()), **values}))
    return response
