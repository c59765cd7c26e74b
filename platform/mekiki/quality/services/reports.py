"""The record of a study's report, by the worker that computed it."""

from hashlib import sha256
from typing import Any

from django.db import transaction
from django.db.models import Max

from mekiki.audit.services import record
from mekiki.config.version import full_version
from mekiki.datasets import storage
from mekiki.quality.models import Study, StudyReport, StudyReportFile


def report_file_name(study: Study, digest: str, language: str) -> str:
    """Return the storage name of a PDF file, which its content decides."""
    return f"datasets/{study.dataset_id}/studies/{study.number}/report-{digest[:16]}-{language}.pdf"


def next_version(study: Study) -> int:
    """Return the version of the next report of a study."""
    return (StudyReport.objects.filter(study=study).aggregate(last=Max("version"))["last"] or 0) + 1


@transaction.atomic
def record_report(
    *, study: Study, version: int, figures: dict[str, Any], digest: str, files: dict[str, bytes]
) -> StudyReport:
    """Store the report of a study and its PDF files by language, and return the report.

    digest: SHA-256 of the inputs. A version that exists is returned unchanged, so that a repeated job stores
    it once.
    """
    Study.objects.select_for_update(no_key=True).get(pk=study.pk)
    before = StudyReport.objects.filter(study=study, version=version).first()
    if before is not None:
        return before
    report = StudyReport.objects.create(
        study=study, version=version, figures=figures, digest=digest, software=full_version()
    )
    for language, content in files.items():
        content_hash = sha256(content).hexdigest()
        name = report_file_name(study, content_hash, language)
        storage.write_atomically(name, content)
        StudyReportFile.objects.create(
            report=report, language=language, name=name, sha256=content_hash, size=len(content)
        )
    record(
        kind="study.reported",
        dataset=study.dataset,
        target=study,
        data={"number": study.number, "name": study.name, "version": version, "digest": digest},
    )
    return report
