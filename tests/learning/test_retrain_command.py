"""The command `mekiki retrain`."""

import threading
import time

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from mekiki.jobs.models import Job
from mekiki.labeling.services import set_schema
from mekiki.learning.models import TrainingRun
from mekiki.learning.services import finish_run
from tests.factories import ConfirmedLabelFactory, DatasetFactory, UserFactory


@pytest.mark.django_db
def test_retrain_command_reports_missing_input() -> None:
    with pytest.raises(CommandError, match="no dataset"):
        call_command("retrain", "nowhere")
    with pytest.raises(CommandError, match="labels and prompts first"):
        call_command("retrain", DatasetFactory().slug)


@pytest.mark.django_db(transaction=True)
def test_retrain_command_waits_and_reports_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    admin = UserFactory()
    dataset = DatasetFactory(admin=admin)
    set_schema(dataset=dataset, labels=[{"name": "good", "prompts": ["good"]}], user=admin)
    with pytest.raises(CommandError, match="Nothing was started"):
        call_command("retrain", dataset.slug)
    ConfirmedLabelFactory(dataset=dataset, label=dataset.labels.get())
    call_command("retrain", dataset.slug, "--no-wait")
    assert TrainingRun.objects.get().finished_at is None

    def run_worker() -> None:
        from workers.runner import run_job

        def stage(job: Job, report: object) -> None:
            time.sleep(0.2)
            finish_run(
                run=TrainingRun.objects.get(), promoted=False, reason={"code": "no_labels"}, log="a line"
            )

        try:
            run_job(str(Job.objects.get(kind="train").pk), stage)
        finally:
            connection.close()

    worker = threading.Thread(target=run_worker)
    worker.start()
    call_command("retrain", dataset.slug)
    worker.join()
    assert "Training is not possible yet" in capsys.readouterr().out
    assert TrainingRun.objects.count() == 1, "a second request starts no second run"
