"""The job of a certificate or of a plan: the active one, and why the work stopped if there is none."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from mekiki.jobs.models import ACTIVE_STATES, Job, Kind, State
from mekiki.learning.figures import count
from mekiki.quality.models import Certificate, CertificatePlan
from mekiki.quality.streams import active_stream

_State = Certificate.State


@dataclass(frozen=True)
class StoppedWork:
    """Why the work on a certificate stopped, and what was kept, as sentences."""

    reason: str
    kept: str


def job_key(certificate: Certificate) -> str:
    """Return the key of the job that does the next step of a certificate."""
    return f"certify:{certificate.pk}"


def newest_job(certificate: Certificate) -> Job | None:
    """Return the job of a certificate that was requested last, or None."""
    jobs = Job.objects.filter(
        dataset=certificate.dataset_id, kind=Kind.CERTIFY, key=job_key(certificate)
    ).select_related("dataset")
    return jobs.order_by("-number").first()


def stopped_work(certificate: Certificate) -> StoppedWork | None:
    """Return why nothing works on a certificate that waits for its job, or None if all is well.

    The job of a running audit ends after each answer, and the job of an extension to later images after each
    prediction, so only its failure or cancellation is a problem there.
    """
    kept = _kept(certificate)
    if not kept:
        return None
    job = newest_job(certificate)
    if job is not None and (
        job.state in ACTIVE_STATES
        or (job.state == State.SUCCEEDED and certificate.state in (_State.AUDITING, _State.ACCEPTED))
    ):
        return None
    # The job may have ended between the two reads, and then the certificate is in another state.
    if not Certificate.objects.filter(pk=certificate.pk, state=certificate.state).exists():
        return None
    return StoppedWork(_reason(job), kept)


def stopped_plan(plan: CertificatePlan) -> StoppedWork | None:
    """Return why nothing computes a plan without a forecast, or None if a job does or it has one."""
    if plan.computed_at is not None or (plan.job is not None and plan.job.state in ACTIVE_STATES):
        return None
    # The job may have ended between the two reads.
    if CertificatePlan.objects.filter(pk=plan.pk, computed_at__isnull=False).exists():
        return None
    return StoppedWork(_reason(plan.job), _("The statement of this plan is stored. Nothing was frozen."))


def _reason(job: Job | None) -> str:
    """Return why the work stopped. job: the newest one, which is not active."""
    if job is None or job.state == State.SUCCEEDED:
        return _("No job continues this work.")
    if job.state == State.CANCELLED:
        return _("The job of this work was cancelled.")
    return _("The job of this work failed: %(error)s") % {"error": job.error_for_reader}


def _kept(certificate: Certificate) -> str:
    """Return what was stored so far, or an empty text if the certificate waits for no job."""
    if certificate.state == _State.FREEZING:
        return _("Nothing was frozen and no image was drawn.")
    if certificate.state == _State.AUDITING:
        return _("The frozen pool and all answers are stored. No further images are drawn.")
    if certificate.state == _State.ACCEPTED and active_stream(certificate.pk) is not None:
        return _("All labels that were set are valid. No label of a later image is set.")
    if certificate.state == _State.ACCEPTING:
        stored = certificate.machine_labels.count()
        return _(
            "%(stored)s of at most %(region)s labels are stored, and none of them is valid before the last "
            "one is set."
        ) % {"stored": count(stored), "region": count(certificate.region)}
    return ""
