"""The start of a certificate: the protocol is checked, stored and never changed afterwards."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset, ImportBatch
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.payloads import CertifyPayload
from mekiki.jobs.services import enqueue
from mekiki.learning.selectors import champion
from mekiki.quality.certificate_scope import scope_problem
from mekiki.quality.certificate_work import job_key, stopped_work
from mekiki.quality.certificates import RUNNING_STATES, running_certificate
from mekiki.quality.models import Certificate
from mekiki.quality.services.certificates.locks import lock_certificate
from verification.certificates.protocol import Protocol

MAX_LEVELS = 50
MAX_AUDITS = 100_000
MAX_OVERLAP = 3
MAX_PUBLIC_WORDS = 500
MAX_NOTE = 300


@transaction.atomic
def start(
    *,
    dataset: Dataset,
    user: User,
    protocol: Protocol,
    overlap: int = 1,
    batch: ImportBatch | None = None,
    public_words: str = "",
    note: str = "",
) -> Certificate:
    """Start a certificate for the labels of the head in use. A job freezes the scores and draws the audits.

    protocol: the statement and its test. The keys of its `alpha_by_label`, and the label of its scope, are
    label ids as text.
    overlap: reviewers for each audited image, 1 to 3.
    batch: the import whose images are the pool, or None for the whole dataset.
    public_words: words that were public before the start. They become a part of the key of the audit order.

    Raises PermissionDenied if the user is not an admin. Raises ValidationError if a value is out of range, if
    no head is in use, or if another certificate is running.
    """
    require_role(user, dataset, Role.ADMIN)
    # The lock ensures that each version number is used once, that only one certificate runs, and that no
    # label changes between the check and the start.
    Dataset.objects.select_for_update(no_key=True).get(pk=dataset.pk)
    check_statement(dataset, protocol, overlap, batch, public_words, note)
    if champion(dataset) is None:
        raise ValidationError(
            _("There are no predictions yet, so no certificate can start. Write labels and prompts first.")
        )
    if running_certificate(dataset) is not None:
        raise ValidationError(
            _("Another certificate is running in this dataset. Nothing was started; end or cancel it first.")
        )
    last = Certificate.objects.filter(dataset=dataset).aggregate(last=Max("version"))["last"] or 0
    certificate = Certificate.objects.create(
        dataset=dataset,
        version=last + 1,
        **protocol.as_json(),
        overlap=overlap,
        batch=batch,
        public_words=public_words.strip(),
        note=note.strip(),
        created_by=user,
    )
    record(
        kind="certificate.started",
        actor=user,
        dataset=dataset,
        target=certificate,
        data={
            "version": certificate.version,
            **protocol.as_json(),
            "overlap": certificate.overlap,
            "import": certificate.batch_id,
            "public_words": certificate.public_words,
        },
    )
    request_work(certificate=certificate, user=user)
    return certificate


def check_statement(
    dataset: Dataset,
    protocol: Protocol,
    overlap: int,
    batch: ImportBatch | None,
    public_words: str,
    note: str,
) -> None:
    """Raise ValidationError if a value is out of the range that the product offers."""
    problems = []
    if not protocol.alpha <= 0.5:
        problems.append(_("The share of wrong labels must be at least 0 % and at most 50 %."))
    if not 1e-6 <= protocol.delta <= 0.5:
        problems.append(_("The risk must be at least 0.0001 % and at most 50 %."))
    if protocol.limit > MAX_AUDITS:
        problems.append(
            _("The number of audited images must be between 1 and %(most)d.") % {"most": MAX_AUDITS}
        )
    if len(protocol.levels) > MAX_LEVELS:
        problems.append(_("At most %(most)d shares of the candidates are tested.") % {"most": MAX_LEVELS})
    if protocol.critical_bound is not None and not 0 <= protocol.critical_bound <= 1:
        problems.append(_("The bound for critical labels must be at least 0 % and at most 100 %."))
    if not 1 <= overlap <= MAX_OVERLAP:
        problems.append(_("Between 1 and 3 reviewers judge each audited image."))
    labels = {str(pk) for pk in dataset.labels.filter(archived_at__isnull=True).values_list("pk", flat=True)}
    if not set(map(str, protocol.alpha_by_label)) <= labels:
        problems.append(_("This dataset has no such label."))
    if problem := scope_problem(dataset, dict(protocol.scope)):
        problems.append(problem)
    if len(public_words) > MAX_PUBLIC_WORDS or len(note) > MAX_NOTE:
        problems.append(_("The text is too long. Shorten it."))
    if batch is not None and batch.dataset_id != dataset.pk:
        problems.append(_("This dataset has no such import."))
    if problems:
        raise ValidationError(problems)


def request_work(*, certificate: Certificate, user: User | None = None) -> Job:
    """Start the job that does the next step of a certificate, and return it. It does nothing twice."""
    job = enqueue(
        kind=Kind.CERTIFY,
        dataset=certificate.dataset,
        key=job_key(certificate),
        payload=CertifyPayload(certificate=certificate.pk).as_json(),
        user=user,
    )
    # Not while the job holds the certificate: a reviewer's answer requests the job and must not wait for it.
    # Pages find the newest job by its key (certificate_work.newest_job).
    with transaction.atomic():
        free = Certificate.objects.select_for_update(of=("self",), skip_locked=True)
        for row in free.filter(pk=certificate.pk).exclude(job=job):
            row.job = job
            row.save(update_fields=["job"])
    return job


@transaction.atomic
def continue_work(*, certificate: Certificate, user: User) -> Job:
    """Start the job of a certificate again after it failed, was cancelled or was lost, and return the job.

    Raises PermissionDenied if the user is not an admin. Raises ValidationError if the certificate waits for
    no job, or if its job runs.
    """
    require_role(user, certificate.dataset, Role.ADMIN)
    certificate = lock_certificate(certificate, *RUNNING_STATES, Certificate.State.ACCEPTED)
    if stopped_work(certificate) is None:
        raise ValidationError(_("The work on this certificate runs already. Nothing was changed."))
    record(
        kind="certificate.continued",
        actor=user,
        dataset=certificate.dataset,
        target=certificate,
        data={"version": certificate.version, "state": str(certificate.state)},
    )
    return request_work(certificate=certificate, user=user)
