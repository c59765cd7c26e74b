"""The report of a study: its figures, and a PDF file in each language."""

from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy

from mekiki.config import clock
from mekiki.jobs.models import Job
from mekiki.jobs.payloads import AgreementPayload
from mekiki.quality.inputs import read_inputs
from mekiki.quality.models import Study
from mekiki.quality.services import record_report
from mekiki.quality.services.reports import next_version
from workers.errors import StageError
from workers.runner import Report
from workers.steps.agreement import compute_figures
from workers.steps.agreement_pdf import report_pdf


def run(job: Job, report: Report) -> dict[str, Any]:
    """Compute and store the report of the finished study that the payload names."""
    study = Study.objects.filter(pk=AgreementPayload.of(job).study, dataset=job.dataset_id).first()
    if study is None or study.state != Study.State.FINISHED:
        raise StageError(gettext_lazy("The study does not exist, or it has not finished."))
    report(stage="comparing the answers of the study", unit="images")
    version = next_version(study)
    inputs = read_inputs(study)
    figures, digest = compute_figures(inputs), inputs.digest()
    report(stage="writing the report", unit="files", total=len(settings.LANGUAGES))
    files = {
        language: report_pdf(
            figures, digest=digest, version=version, language=language, created_at=clock.now()
        )
        for language, _name in settings.LANGUAGES
    }
    stored = record_report(study=study, version=version, figures=figures, digest=digest, files=files)
    return {"study": study.number, "version": stored.version, "digest": digest}
