"""The report of a study: computed by the worker's stage, the same figures on the page and in the PDF."""

import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pypdfium2
import pytest
from django.db import connection
from django.test import Client
from django.utils import translation

from mekiki.audit.models import Event
from mekiki.datasets import storage
from mekiki.jobs.models import Job
from mekiki.jobs.services import claim, succeed
from mekiki.labeling.services import archive_label
from mekiki.quality import services
from mekiki.quality.figures import Figures
from mekiki.quality.inputs import read_inputs
from mekiki.quality.models import Study, StudyAnswer, StudyReport
from mekiki.quality.progress import next_images
from mekiki.quality.report_words import report_document
from tests.quality.study_setup import StudyScene, allow_few_images
from workers.errors import StageError
from workers.evaluation.agreement import Coefficient, exact_proportion
from workers.runner import Report
from workers.stages import agreement as stage
from workers.steps.agreement import verdict_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> StudyScene:
    """Create a scene whose second label is critical and whose images have confirmed labels."""
    allow_few_images(monkeypatch)
    scene = StudyScene(images=9, reviewers=2)
    scene.labels[1].critical = True
    scene.labels[1].save(update_fields=["critical"])
    scene.confirm_all()
    return scene


def ignore_progress(**_progress: Any) -> None:
    """Ignore the progress that a stage reports."""


def compute(study: Study) -> StudyReport:
    """Run the stage of the study's newest job, and return the report."""
    study.refresh_from_db()
    assert study.job is not None
    job = claim(str(study.job.pk))
    assert job is not None
    succeed(job, stage.run(job, Report(job)))
    return StudyReport.objects.filter(study=study).order_by("-version")[0]


def answer_with_errors(scene: StudyScene, study: Study) -> None:
    """Let the first reviewer be right always, and the second call critical images good in run 2."""
    right = {image.pk: scene.label_of(n) for n, image in enumerate(scene.images)}
    scene.answer_all(scene.invitation(study), lambda _who, image, _run: right[image.image_id])

    def second(_who: Any, image: Any, run: int) -> Any:
        label = right[image.image_id]
        return scene.labels[0] if label == scene.labels[1] and run == 2 else label

    scene.answer_all(scene.invitation(study, 1), second)


def test_the_report_has_the_figures_of_the_answers(scene: StudyScene) -> None:
    study = scene.running(reference="confirmed")
    answer_with_errors(scene, study)
    report = compute(study)
    figures = Figures.of(report.figures)
    first, second = figures.reviewers
    assert (first.within.k, first.within.n) == (9, 9)
    assert (second.within.k, second.within.n) == (6, 9)
    assert (figures.between.k, figures.between.n) == (6, 9)
    assert first.reference is not None and second.reference is not None
    assert (first.reference.k, second.reference.k) == (9, 6)
    assert first.misses is not None and second.misses is not None and second.false_alarms is not None
    assert (first.misses.k, second.misses.k, second.misses.n) == (0, 3, 6)
    assert (second.false_alarms.k, second.false_alarms.n) == (0, 12)
    assert figures.differing_count == 3
    assert len(figures.pairs) == 1 and figures.pairs[0].kappa.value is not None
    assert report.digest == read_inputs(study).digest()
    event = Event.objects.get(kind="study.reported")
    assert event.data["digest"] == report.digest


def test_the_report_over_the_api(scene: StudyScene) -> None:
    study = scene.running(reference="confirmed")
    client = Client()
    client.force_login(scene.admin)
    address = f"/api/v1/datasets/{scene.dataset.slug}/studies/1"
    before = client.get(address).json()
    assert (before["state"], before["report"]) == ("running", None)
    assert [person["wanted"] for person in before["people"]] == [18, 18]
    answer_with_errors(scene, study)
    report = compute(study)
    after = client.get(address).json()
    assert after["report"]["figures"] == report.figures and after["report"]["digest"] == report.digest
    client.force_login(scene.people[0])
    assert client.get(address).status_code == 403


def test_the_digest_changes_with_an_answer_and_not_with_a_name(scene: StudyScene) -> None:
    study = scene.running()
    scene.answer_all(scene.invitation(study), runs=1)
    before = read_inputs(study).digest()
    scene.people[0].username = "renamed"
    scene.people[0].save()
    scene.labels[0].name = "another name"
    scene.labels[0].save()
    assert read_inputs(study).digest() == before
    images, progress = next_images(scene.invitation(study), 1)
    scene.answer(scene.invitation(study), images[0], progress.run)
    assert read_inputs(study).digest() != before


def test_what_is_missing_is_said(scene: StudyScene) -> None:
    study = scene.running(reference="confirmed")
    scene.answer_all(scene.invitation(study), lambda *_: None if _[2] == 2 else scene.labels[0])
    scene.dataset.memberships.filter(user=scene.people[1]).delete()
    archive_label(label=scene.labels[2], user=scene.admin, confirmed=True)
    services.finish(study=study, user=scene.admin)
    report = compute(study)
    figures = Figures.of(report.figures)
    assert [(row.given, row.unable, row.member) for row in figures.reviewers] == [
        (18, 9, True),
        (0, 0, False),
    ]
    document = words_of(report)
    text = " ".join(
        sentence
        for section in document.sections
        if section.key == "missing"
        for sentence in section.sentences
    )
    assert scene.people[1].username in text and "may not review" in text
    assert "Some answers are missing" in text and scene.labels[2].name in text
    assert figures.verdict == "undefined" and "too few" in document.verdict


def words_of(report: StudyReport, language: str = "en") -> Any:
    with translation.override(language):
        return report_document(
            Figures.of(report.figures),
            digest=report.digest,
            version=report.version,
            software=report.software,
            created_at=report.created_at,
        )


@pytest.mark.parametrize(
    ("value", "low", "high", "same", "verdict"),
    [
        (0.9, 0.8, 0.95, 20, "good"),
        (0.8, 0.7, 0.9, 20, "unclear"),
        (0.5, 0.3, 0.7, 10, "poor"),
        (None, None, None, 20, "undefined"),
        (1.0, None, None, 20, "good"),
        (1.0, None, None, 5, "unclear"),  # five equal images prove little
    ],
)
def test_verdict(value: Any, low: Any, high: Any, same: int, verdict: str) -> None:
    n = same if value in (None, 1.0) else 20
    assert verdict_of(Coefficient(value, low, high, n, n * 4), exact_proportion(same, n)) == verdict


def pdf_text(content: bytes) -> tuple[str, int]:
    """Return the text of all pages without white space, and the number of pages."""
    pages = pypdfium2.PdfDocument(content)
    text = "".join(page.get_textpage().get_text_range() for page in pages)
    return re.sub(r"\s+", "", text), len(pages)


def test_the_pdf_has_the_words_and_figures_of_the_page_in_both_languages(scene: StudyScene) -> None:
    scene.dataset.name = "外観検査 3号機"
    scene.dataset.save(update_fields=["name"])
    study = scene.running(reference="confirmed")
    answer_with_errors(scene, study)
    report = compute(study)
    client = Client()
    client.force_login(scene.admin)
    for language, file in ((f.language, f) for f in report.files.all()):
        with storage.open_named(file.name) as opened:
            content = opened.read()
        assert content.startswith(b"%PDF") and len(content) == file.size < 1_000_000
        text, pages = pdf_text(content)
        document = words_of(report, language)
        client.cookies["django_language"] = language
        page = client.get(
            f"/d/{scene.dataset.slug}/quality/studies/1/", headers={"accept-language": language}
        )
        html = re.sub(r"\s+", "", page.content.decode())
        assert "外観検査3号機" in text and report.digest in text and report.digest in html
        for table in [table for section in document.sections for table in section.tables]:
            for cell in (cell for row in table.rows for cell in row):
                assert re.sub(r"\s+", "", cell) in text, cell
        assert re.sub(r"\s+", "", document.verdict) in text
        assert f"{pages}/{pages}" in text
        reply = client.get(f"/d/{scene.dataset.slug}/quality/studies/1/report-1-{language}.pdf")
        assert reply["Content-Type"] == "application/pdf"
        assert b"".join(reply.streaming_content) == content  # type: ignore[arg-type]


def test_a_changed_file_is_not_delivered(scene: StudyScene) -> None:
    study = scene.running()
    scene.answer_all(scene.invitation(study))
    services.finish(study=study, user=scene.admin)
    file = compute(study).files.get(language="en")
    from pathlib import Path

    from django.core.files.storage import default_storage

    Path(default_storage.path(file.name)).write_bytes(b"%PDF other")
    client = Client()
    client.force_login(scene.admin)
    reply = client.get(f"/d/{scene.dataset.slug}/quality/studies/1/report-1-en.pdf")
    assert reply.status_code == 302
    assert Event.objects.filter(kind="study.file_changed").exists()


def test_a_repeated_computation_is_the_next_version_with_the_same_figures(scene: StudyScene) -> None:
    study = scene.running()
    for place in (0, 1):
        scene.answer_all(scene.invitation(study, place))
    first = compute(study)
    services.request_report(study=study, user=scene.admin)
    second = compute(study)
    assert (first.version, second.version) == (1, 2)
    assert first.figures == second.figures and first.digest == second.digest


def test_the_job_of_a_cancelled_study_fails_with_a_sentence(scene: StudyScene) -> None:
    study = scene.running()
    services.finish(study=study, user=scene.admin)
    job = Job.objects.get(kind="agreement")
    Study.objects.filter(pk=study.pk).update(state="cancelled")
    with pytest.raises(StageError, match="not finished"):
        stage.run(job, ignore_progress)
    assert not StudyReport.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_last_answers_at_once_finish_the_study_once(monkeypatch: pytest.MonkeyPatch) -> None:
    allow_few_images(monkeypatch)
    scene = StudyScene(images=2)
    study = scene.running()
    last = []
    for place in (0, 1):
        reviewer = scene.invitation(study, place)
        while True:
            images, progress = next_images(reviewer, 2)
            if progress.run == 2 and progress.answered == 1:
                last.append((reviewer, images[0]))
                break
            scene.answer(reviewer, images[0], progress.run)

    def give(place: int) -> str:
        reviewer, image = last[place % 2]
        try:
            scene.answer(reviewer, image, 2, client_key=uuid.UUID(int=place % 2 + 1))
            return "recorded"
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(give, range(4))) == ["recorded"] * 4
    study.refresh_from_db()
    assert study.state == "finished"
    assert StudyAnswer.objects.count() == 8
    assert Event.objects.filter(kind="study.finished").count() == 1
    assert json.dumps(study.job.payload if study.job else {}) == json.dumps({"study": study.pk})
