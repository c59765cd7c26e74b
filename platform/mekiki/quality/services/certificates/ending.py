"""The end of a certificate's audit, and what follows: labels are accepted, suspended or revoked."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.config import clock
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Kind
from mekiki.jobs.services import enqueue
from mekiki.learning.models import Head
from mekiki.learning.selectors import has_champion
from mekiki.quality.audit_state import read_audit_state
from mekiki.quality.models import Certificate
from mekiki.quality.services.certificates.auditing import record_check
from mekiki.quality.services.certificates.locks import lock_certificate
from mekiki.quality.services.certificates.starting import request_work
from mekiki.quality.services.certificates.stream_ending import close_stream
from mekiki.quality.stop_reasons import StopReason
from mekiki.review.services.certificate_audits import withdraw_certificate_audits

_State = Certificate.State


@transaction.atomic
def end_audit(*, certificate: Certificate, user: User | None) -> Certificate:
    """End the audit by the answers so far, reveal the seed, and return the certificate.

    The result is PASSED with the largest certified region, or FAILED if no region is certified. Items that
    still wait are withdrawn. user: the admin who ends a watched audit, or None for a planned audit that is
    complete.

    Raises PermissionDenied if the user is not an admin. Raises ValidationError if the audit does not run, or
    if a user ends a planned audit before its last answer.
    """
    if user is not None:
        require_role(user, certificate.dataset, Role.ADMIN)
    certificate = lock_certificate(certificate, _State.AUDITING)
    check = record_check(certificate=certificate, figures=read_audit_state(certificate).figures)
    if user is not None and certificate.test == Certificate.Test.PLANNED:
        raise ValidationError(
            _(
                "A planned audit ends by itself after its last answer. Nothing was changed; cancel the "
                "certificate if it is not needed any more."
            )
        )
    certificate.region, certificate.audits, certificate.errors = check.certified, check.audits, check.errors
    certificate.state = _State.PASSED if certificate.region else _State.FAILED
    certificate.ended_at = clock.now()
    certificate.save(update_fields=["region", "audits", "errors", "state", "ended_at"])
    withdraw_certificate_audits(items=certificate.drawn.values("item"))
    record(
        kind="certificate.ended",
        actor=user,
        dataset=certificate.dataset,
        target=certificate,
        data={
            "version": certificate.version,
            "seed": bytes(certificate.seed or b"").hex(),
            "certified": certificate.region,
            "candidates": certificate.candidates,
            "audits": certificate.audits,
            "errors": certificate.errors,
        },
    )
    return certificate


@transaction.atomic
def cancel(*, certificate: Certificate, user: User) -> Certificate:
    """Cancel a certificate before its audit ended, and return it. The seed is revealed.

    The cancelled attempt stays on record: each attempt has its own risk δ, and pages show their number.
    Raises PermissionDenied if the user is not an admin, and ValidationError if the audit has ended.
    """
    require_role(user, certificate.dataset, Role.ADMIN)
    certificate = lock_certificate(certificate, _State.FREEZING, _State.AUDITING)
    _cancel(certificate, StopReason.BY_ADMIN, user)
    return certificate


def _cancel(certificate: Certificate, reason: StopReason, user: User | None) -> None:
    certificate.state = _State.CANCELLED
    certificate.stopped_at = clock.now()
    certificate.stop_reason = reason
    certificate.save(update_fields=["state", "stopped_at", "stop_reason"])
    withdraw_certificate_audits(items=certificate.drawn.values("item"))
    record(
        kind="certificate.cancelled",
        actor=user,
        dataset=certificate.dataset,
        target=certificate,
        data={
            "version": certificate.version,
            "reason": str(reason),
            "seed": bytes(certificate.seed or b"").hex(),
        },
    )


@transaction.atomic
def accept(*, certificate: Certificate, user: User) -> Certificate:
    """Accept a certified region: a job sets the labels of its images by machine. Return the certificate.

    Raises PermissionDenied if the user is not an admin. Raises ValidationError if the certificate is not
    certified, or if another head is in use now.
    """
    require_role(user, certificate.dataset, Role.ADMIN)
    # A promotion and a change of the labels lock this row too, so that none happens between check and change.
    Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=certificate.dataset_id)
    certificate = lock_certificate(certificate, _State.PASSED)
    in_use = getattr(certificate.dataset, "champion", None)
    if in_use is None or in_use.head_id != certificate.head_id:
        raise ValidationError(
            _(
                "Another head is in use now, so the labels of this certificate cannot be set. The "
                "certificate is kept; start a new one for the head in use."
            )
        )
    result = read_audit_state(certificate).result
    if result.certified is None or result.certified.size < certificate.region:
        raise ValidationError(
            _(
                "People have labelled more images of this pool than the protocol allows, so the statement "
                "does not hold for the other images. Nothing was changed; start a new certificate."
            )
        )
    certificate.state = _State.ACCEPTING
    certificate.save(update_fields=["state"])
    record(
        kind="certificate.accepted",
        actor=user,
        dataset=certificate.dataset,
        target=certificate,
        data={"version": certificate.version, "images": certificate.region},
    )
    request_work(certificate=certificate, user=user)
    return certificate


@transaction.atomic
def mark_accepted(*, certificate: Certificate, accepted: int) -> Certificate | None:
    """Mark a certificate whose labels are all set. Return it, or None if it was stopped meanwhile.

    accepted: how many labels it set.
    """
    certificate = Certificate.objects.select_for_update(of=("self",)).get(pk=certificate.pk)
    if certificate.state != _State.ACCEPTING:
        return None
    # Only one certificate sets the labels of a dataset, so that a certified label has one statement.
    earlier = Certificate.objects.filter(
        dataset=certificate.dataset, state__in=[_State.ACCEPTED, _State.SUSPENDED]
    )
    for one in earlier.exclude(pk=certificate.pk).select_for_update(of=("self",)):
        _stop(one, _State.REVOKED, StopReason.REPLACED, None)
    certificate.state = _State.ACCEPTED
    certificate.accepted = accepted
    certificate.accepted_at = clock.now()
    certificate.save(update_fields=["state", "accepted", "accepted_at"])
    record(
        kind="certificate.labels_set",
        dataset=certificate.dataset,
        target=certificate,
        data={"version": certificate.version, "labels": accepted},
    )
    return certificate


@transaction.atomic
def revoke(*, certificate: Certificate, user: User) -> Certificate:
    """Revoke a certificate, and return it. Its labels are no longer valid; the rows are kept.

    Raises PermissionDenied if the user is not an admin, and ValidationError if there is nothing to revoke.
    """
    require_role(user, certificate.dataset, Role.ADMIN)
    states = (_State.PASSED, _State.ACCEPTING, _State.ACCEPTED, _State.SUSPENDED)
    certificate = lock_certificate(certificate, *states)
    _stop(certificate, _State.REVOKED, StopReason.BY_ADMIN, user)
    return certificate


@transaction.atomic
def suspend_certificates(*, dataset: Dataset, reason: StopReason) -> int:
    """Suspend the certificates whose labels are set or being set, and return how many were suspended.

    A suspended certificate sets no further labels. A change of the dataset calls this, in the transaction of
    the change.
    """
    return _suspend(dataset, reason, _State.ACCEPTING, _State.ACCEPTED)


@transaction.atomic
def suspend_for_other_head(*, dataset: Dataset, head: Head) -> int:
    """Suspend the certificates of other heads than the head that is in use now, and return their number.

    The reason names the encoder if it is another one. Certificates that are not accepted yet stay:
    retraining goes on during an audit, and `accept` checks the head in use.
    """
    rows = Certificate.objects.filter(dataset=dataset, state__in=[_State.ACCEPTING, _State.ACCEPTED])
    rows = rows.exclude(head=head).select_related("head").select_for_update(of=("self",))
    certificates = list(rows)
    for certificate in certificates:
        assert certificate.head is not None  # an accepted certificate names its head
        same_encoder = certificate.head.encoder_id == head.encoder_id
        reason = StopReason.HEAD_REPLACED if same_encoder else StopReason.ENCODER_CHANGED
        _stop(certificate, _State.SUSPENDED, reason, None)
    return len(certificates)


@transaction.atomic
def stop_for_other_labels(*, dataset: Dataset, reason: StopReason) -> int:
    """Stop the certificates of a dataset whose labels change, and return how many were stopped.

    An audit that runs is cancelled, because its later answers would have other labels to choose from than its
    earlier answers. A certificate that has ended its audit is suspended.
    """
    running = Certificate.objects.filter(dataset=dataset, state__in=[_State.FREEZING, _State.AUDITING])
    cancelled = list(running.select_for_update(of=("self",)))
    for certificate in cancelled:
        _cancel(certificate, reason, None)
    return len(cancelled) + _suspend(dataset, reason, _State.PASSED, _State.ACCEPTING, _State.ACCEPTED)


@transaction.atomic
def suspend_for_errors_of_the_stream(*, certificate: Certificate) -> Certificate:
    """Suspend an accepted certificate whose audits of later images show too many errors, and return it."""
    certificate = lock_certificate(certificate, _State.ACCEPTED)
    _stop(certificate, _State.SUSPENDED, StopReason.STREAM_ERRORS, None)
    return certificate


def _suspend(dataset: Dataset, reason: StopReason, *states: str) -> int:
    rows = Certificate.objects.filter(dataset=dataset, state__in=states)
    certificates = list(rows.select_for_update(of=("self",)))
    for certificate in certificates:
        _stop(certificate, _State.SUSPENDED, reason, None)
    return len(certificates)


def _stop(certificate: Certificate, state: str, reason: StopReason, user: User | None) -> None:
    certificate.state = state
    certificate.stopped_at = clock.now()
    certificate.stop_reason = reason
    certificate.save(update_fields=["state", "stopped_at", "stop_reason"])
    close_stream(certificate)
    if state == _State.REVOKED and certificate.accepted_at and has_champion(certificate.dataset):
        # The job computes the share of right labels again, without the revoked labels.
        enqueue(kind=Kind.REFILL, dataset=certificate.dataset, user=user)
    data = {"version": certificate.version, "reason": str(reason)}
    if state == _State.SUSPENDED:
        record(
            kind="certificate.suspended",
            actor=user,
            dataset=certificate.dataset,
            target=certificate,
            data=data,
        )
    else:
        record(
            kind="certificate.revoked", actor=user, dataset=certificate.dataset, target=certificate, data=data
        )
