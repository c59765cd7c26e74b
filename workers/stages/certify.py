"""The next step of a certificate: freeze the pool, test the answers and draw audits, or set the labels."""

import secrets
from typing import Any

import numpy as np
from django.utils.translation import gettext_lazy

from mekiki.jobs.models import Job
from mekiki.jobs.payloads import CertifyPayload
from mekiki.learning import models
from mekiki.learning.selectors import champion
from mekiki.quality.audit_state import read_audit_state
from mekiki.quality.certificates import protocol_of
from mekiki.quality.models import Certificate, MachineLabel
from mekiki.quality.services.certificates import (
    FrozenPool,
    analyze_labels,
    analyze_pools,
    check_stream,
    draw_next,
    end_audit,
    label_stream,
    mark_accepted,
    record_check,
    record_freeze,
    set_machine_labels,
)
from mekiki.quality.services.certificates.labels import BLOCK
from mekiki.quality.streams import active_stream
from verification.certificates.order import SEED_BYTES, commitment, order_key
from workers.errors import StageError
from workers.heads.serial import load_head
from workers.locks import learning_lock
from workers.runner import Report
from workers.steps.certificate_order import audit_positions, rank_candidates
from workers.steps.certificate_pool import read_pool, read_stream
from workers.steps.vectors import load_vectors

_State = Certificate.State
STREAM_BLOCK = 10_000  # later images in one transaction


def run(job: Job, report: Report) -> dict[str, Any]:
    """Do the next step of the certificate that the payload names. A step that is done is not repeated."""
    certificate = (
        Certificate.objects.select_related("dataset").filter(pk=CertifyPayload.of(job).certificate).first()
    )
    if certificate is None:
        raise StageError(gettext_lazy("The certificate does not exist."))
    if certificate.state == _State.FREEZING:
        certificate = _freeze(certificate, report)
    if certificate.state == _State.AUDITING:
        certificate = _audit(certificate, report)
    if certificate.state == _State.ACCEPTING:
        certificate = _set_labels(certificate, report)
    if certificate.state == _State.ACCEPTED:
        certificate = _watch_stream(certificate, report)
    return {"certificate": certificate.version, "state": str(certificate.state)}


def _freeze(certificate: Certificate, report: Report) -> Certificate:
    dataset = certificate.dataset
    with learning_lock(dataset, report):
        current = champion(dataset)
        if current is None:
            raise StageError(
                gettext_lazy(
                    "There are no predictions yet, so nothing can be certified. Write labels and prompts: "
                    "the predictions follow."
                )
            )
        row = models.Head.objects.select_related("encoder").get(pk=current.pk)
        mirror = load_vectors(row.encoder, dataset, report)
        pool = read_pool(certificate, row, load_head(bytes(row.weights)), mirror, report)
        protocol = protocol_of(certificate)
        report(stage="drawing the audit order")
        rank = rank_candidates(
            pool.confidence, pool.is_critical, pool.critical_probability, protocol.critical_bound
        )
        # The seed is drawn after the scores and regions are known, and is stored in the same transaction.
        seed = secrets.token_bytes(SEED_BYTES)
        position = audit_positions(order_key(seed, certificate.public_words), pool.digests)
        critical_label, images = int(pool.is_critical.sum()), len(pool.image_ids)
        report(stage="storing the pool", unit="images", total=images)
        record_freeze(
            certificate=certificate,
            head=row,
            pool=FrozenPool(
                image_ids=pool.image_ids,
                digests=pool.digests,
                label_ids=pool.label_ids,
                confidence=pool.confidence,
                critical_probability=pool.critical_probability,
                rank=rank,
                audit_position=position,
                critical_label=critical_label,
                critical_risk=images - int(np.count_nonzero(rank)) - critical_label,
                not_embedded=pool.not_embedded,
                critical_label_ids=pool.critical_label_ids,
            ),
            seed=seed,
            commitment=commitment(seed).hex(),
        )
        analyze_pools()
    return _read_again(certificate)


def _audit(certificate: Certificate, report: Report) -> Certificate:
    report(stage="testing the answers")
    state = read_audit_state(certificate)
    record_check(certificate=certificate, figures=state.figures)
    if state.is_complete:
        return end_audit(certificate=certificate, user=None)
    draw_next(certificate=certificate, state=state)
    return _read_again(certificate)


def _set_labels(certificate: Certificate, report: Report) -> Certificate:
    report(stage="setting labels", done=0, total=certificate.pool, unit="images")
    for first in range(1, certificate.pool + 1, BLOCK):
        set_machine_labels(certificate=certificate, first=first, last=first + BLOCK - 1)
        report(done=min(first + BLOCK - 1, certificate.pool))
    analyze_labels()  # before the labels are valid, because pages read them from then on
    labels = MachineLabel.objects.filter(certificate=certificate).count()
    return mark_accepted(certificate=certificate, accepted=labels) or _read_again(certificate)


def _watch_stream(certificate: Certificate, report: Report) -> Certificate:
    """Check the audits of later images, then set the labels of the next ones."""
    if active_stream(certificate.pk) is None:
        return certificate
    report(stage="testing the answers")
    certificate = check_stream(certificate=certificate)
    if certificate.state != _State.ACCEPTED or certificate.head_id is None:
        return certificate
    dataset = certificate.dataset
    with learning_lock(dataset, report):
        row = models.Head.objects.select_related("encoder").get(pk=certificate.head_id)
        mirror = load_vectors(row.encoder, dataset, report)
        candidates = read_stream(certificate, row, load_head(bytes(row.weights)), mirror, report)
        report(stage="setting labels", done=0, total=len(candidates), unit="images")
        for start in range(0, len(candidates), STREAM_BLOCK):
            block = candidates[start : start + STREAM_BLOCK]
            if label_stream(certificate=certificate, candidates=block) < len(block):
                break  # too many audits wait, or the certificate was stopped
            report(done=start + len(block))
    return _read_again(certificate)


def _read_again(certificate: Certificate) -> Certificate:
    return Certificate.objects.select_related("dataset", "head").get(pk=certificate.pk)
