"""The clients of a simulated reviewer: the services (replay), or HTTP like a browser (demo)."""

import http.cookiejar
import json
import re
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any, Protocol

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset
from mekiki.review import services


class ReviewClient(Protocol):
    """A client that gets questions and records answers."""

    def next(self, count: int) -> list[dict[str, Any]]:
        """Return up to `count` questions: item, lease, sha256, blind, predicted (label id or None)."""
        ...

    def answer(self, question: dict[str, Any], kind: str, label: int) -> None:
        """Record one answer."""
        ...


class ServiceClient:
    """A client that calls review.services directly, as one user."""

    def __init__(self, dataset: Dataset, user: User) -> None:
        self.dataset, self.user = dataset, user

    def next(self, count: int) -> list[dict[str, Any]]:
        return [
            {
                "item": leased.item.pk,
                "lease": leased.lease.pk,
                "sha256": leased.item.image.sha256,
                "blind": leased.blind,
                "predicted": leased.prediction["label"] if leased.prediction else None,
            }
            for leased in services.next_items(dataset=self.dataset, user=self.user, count=count)
        ]

    def answer(self, question: dict[str, Any], kind: str, label: int) -> None:
        services.answer(
            dataset=self.dataset,
            user=self.user,
            item_id=question["item"],
            lease_id=question["lease"],
            kind=kind,
            label=label,
            client_key=uuid.uuid4(),
        )


class HttpClient:
    """A client of the running site.

    It logs in with the login form and then calls the review API with the session and the CSRF token.
    """

    def __init__(self, url: str, slug: str, name: str, password: str) -> None:
        self.url = url.rstrip("/")
        self.base = f"{self.url}/api/v1/datasets/{slug}/review/"
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self._log_in(name, password)

    def _log_in(self, name: str, password: str) -> None:
        page = self._open(f"{self.url}/accounts/login/").decode()
        match = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        if match is None:
            raise RuntimeError("The login page has no form.")
        form = urllib.parse.urlencode(
            {"csrfmiddlewaretoken": match.group(1), "username": name, "password": password}
        ).encode()
        self._open(f"{self.url}/accounts/login/", form)
        if not any(cookie.name == "sessionid" for cookie in self.cookies):
            raise RuntimeError(f"The simulated reviewer “{name}” could not log in.")

    def _open(self, url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
        request = urllib.request.Request(  # noqa: S310
            url, data=body, headers={"Referer": self.url, **(headers or {})}
        )
        try:
            with self.opener.open(request, timeout=60) as reply:
                return reply.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(
                f"{url} answered {error.code}: {error.read()[:300].decode(errors='replace')}"
            ) from None

    def _post(self, act: str, body: dict[str, Any]) -> dict[str, Any]:
        token = next((c.value or "" for c in self.cookies if c.name == "csrftoken"), "")
        headers = {"Content-Type": "application/json", "X-CSRFToken": token}
        return json.loads(self._open(self.base + act, json.dumps(body).encode(), headers))

    def next(self, count: int) -> list[dict[str, Any]]:
        return [
            {
                "item": item["item"],
                "lease": item["lease"],
                "sha256": item["image"]["sha256"],
                "blind": item["blind"],
                "predicted": item["prediction"]["label"] if item["prediction"] else None,
            }
            for item in self._post("next", {"count": count})["items"]
        ]

    def answer(self, question: dict[str, Any], kind: str, label: int) -> None:
        self._post(
            "answer",
            {
                "item": question["item"],
                "lease": question["lease"],
                "kind": kind,
                "label": label,
                "client_key": str(uuid.uuid4()),
            },
        )
