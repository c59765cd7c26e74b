"""The API of a certificate's extension to later images: show it, start it, end it, and recheck images."""

from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest
from ninja import Router, Schema
from pydantic import Field

from mekiki.accounts.http import user_of
from mekiki.accounts.models import Role
from mekiki.api.review_schemas import ERRORS
from mekiki.quality.certificates import certificate_for
from mekiki.quality.services import certificates
from mekiki.quality.stream_facts import stream_facts

router = Router(tags=["certificates"])


class StreamIn(Schema):
    """`share`: the probability with which a newly accepted image is audited."""

    share: float = Field(ge=0.0001, le=1)


class StreamOut(Schema):
    """The extension of a certificate to later images, and the state of its audits.

    `evidence` speaks against the certificate; at `limit` it is suspended. `doubtful` counts the images after
    the last good checkpoint that no person has labelled. `seed` is null while the extension runs.
    """

    certificate: int
    state: str
    stop_reason: str
    share: float
    confidence: float
    commitment: str
    seed: str | None
    accepted: int
    audits: int
    errors: int
    waiting: int
    evidence: float
    limit: float
    alarm_at: datetime | None
    ended_at: datetime | None
    doubtful_from: int | None
    doubtful: int


class RecheckOut(Schema):
    """How many images were put into the queue."""

    images: int


@router.get(
    "/{slug:slug}/certificates/{int:version}/stream",
    response={200: StreamOut, **ERRORS},
    url_name="certificate-stream",
    summary="The extension of a certificate to later images",
)
def stream(request: HttpRequest, slug: str, version: int) -> dict[str, Any]:
    """Return the extension with the state of its audits."""
    return _stream(request, slug, version)


@router.post(
    "/{slug:slug}/certificates/{int:version}/stream",
    response={200: StreamOut, **ERRORS},
    url_name="certificate-stream",
    summary="Extend a certificate to later images",
)
def extend(request: HttpRequest, slug: str, version: int, body: StreamIn) -> dict[str, Any]:
    """Extend an accepted certificate to images that are imported later, for admins."""
    user = user_of(request)
    certificate = certificate_for(user, slug, version, Role.ADMIN)
    certificates.extend_to_stream(certificate=certificate, user=user, share=body.share)
    return _stream(request, slug, version)


@router.post(
    "/{slug:slug}/certificates/{int:version}/stream/end",
    response={200: StreamOut, **ERRORS},
    url_name="certificate-stream-end",
    summary="End the extension of a certificate to later images",
)
def end(request: HttpRequest, slug: str, version: int) -> dict[str, Any]:
    """End the extension, for admins. The certificate stays accepted."""
    user = user_of(request)
    certificates.end_stream(certificate=certificate_for(user, slug, version, Role.ADMIN), user=user)
    return _stream(request, slug, version)


@router.post(
    "/{slug:slug}/certificates/{int:version}/stream/recheck",
    response={200: RecheckOut, **ERRORS},
    url_name="certificate-stream-recheck",
    summary="Send the images in doubt to review",
)
def recheck(request: HttpRequest, slug: str, version: int) -> dict[str, int]:
    """Put the images after the last good checkpoint first in the queue, for admins."""
    user = user_of(request)
    certificate = certificate_for(user, slug, version, Role.ADMIN)
    return {"images": certificates.recheck_doubtful(certificate=certificate, user=user)}


def _stream(request: HttpRequest, slug: str, version: int) -> dict[str, Any]:
    shown = certificate_for(user_of(request), slug, version)
    facts = stream_facts(shown.pk)
    if facts is None:
        raise Http404
    row = facts.stream
    fields = ("share", "confidence", "commitment", "accepted", "audits", "errors", "evidence", "alarm_at")
    return {
        "certificate": shown.version,
        "state": shown.state,
        "stop_reason": shown.stop_reason,
        **{name: getattr(row, name) for name in fields},
        "seed": facts.seed or None,
        "waiting": facts.waiting,
        "limit": facts.limit,
        "ended_at": row.ended_at,
        "doubtful_from": row.doubtful_from,
        "doubtful": facts.doubtful,
    }
