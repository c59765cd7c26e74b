"""`mekiki certify`: the plan, the start, the state and the acceptance, by a named admin of the dataset."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from mekiki.accounts.models import User
from mekiki.jobs.models import Job, Kind, State
from mekiki.quality.management.commands import certify
from mekiki.quality.models import Certificate, CertificatePlan
from tests.factories import MembershipFactory
from tests.workers.conftest import COLOURS, add_image, picture
from tests.workers.test_certify import answer_audits
from workers.stages import plan_certificate

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fixed_seed")]
Work = Callable[..., dict[str, Any]]


@pytest.fixture
def pool(coloured: Any, work: Work, answer_queue: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A dataset with a trained head and an admin. Whoever waits for a job lets a worker run it."""
    names = list(COLOURS)
    for number in range(30, 260):
        name = names[number % 3]
        add_image(coloured, picture(COLOURS[name], number), f"{name}-{number}.png", (number % 10) / 10 + 0.05)
    work(coloured, Kind.ENCODE)
    work(coloured, Kind.PREDICT)
    answer_queue(coloured)
    work(coloured, Kind.TRAIN)
    coloured.admin = MembershipFactory(dataset=coloured, role="admin").user
    monkeypatch.setattr(plan_certificate, "RUNS", 10)

    class Time:
        @staticmethod
        def sleep(_seconds: float) -> None:
            for job in Job.objects.filter(dataset=coloured, state=State.QUEUED).order_by("number"):
                work(coloured, job.kind)

    monkeypatch.setattr(certify, "time", Time)
    return coloured


def run(capsys: pytest.CaptureFixture[str], pool: Any, *options: str, user: User | None = None) -> str:
    """Run the command as an admin and return what it printed."""
    call_command("certify", pool.slug, "--user", (user or pool.admin).username, *options)
    return capsys.readouterr().out


def test_plan_start_state_and_acceptance(pool: Any, work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, pool, "--plan", "--alpha", "0.2")
    assert "a forecast and no promise" in text and "Proposed: --limit" in text
    assert not Certificate.objects.exists()
    body = json.loads(run(capsys, pool, "--plan", "--alpha", "0.2", "--json"))
    assert body["computed"] and body["proposal"]["limit"] >= 1 and body["audited"] > 0
    with pytest.raises(CommandError, match="no certificate yet"):
        call_command("certify", pool.slug, "--state")
    text = run(capsys, pool, "--alpha", "0.2", "--limit", "80", "--first", "0.7", "--note", "lot 7")
    certificate = Certificate.objects.get()
    assert (certificate.alpha, certificate.limit, certificate.levels[0]) == (0.2, 80, 0.7)
    assert certificate.state == "auditing" and certificate.commitment in text
    assert CertificatePlan.objects.get(certificate=certificate).note == "lot 7"
    answer_audits(pool, work, certificate)
    call_command("certify", pool.slug, "--state", "--json")
    state = json.loads(capsys.readouterr().out)
    assert state["state"] == "passed" and state["by_machine"] > 0
    text = run(capsys, pool, "--accept")
    certificate.refresh_from_db()
    assert certificate.state == "accepted" and f"Labels set: {certificate.accepted}" in text


def test_command_refuses_what_the_pages_refuse(pool: Any, capsys: pytest.CaptureFixture[str]) -> None:
    reviewer = MembershipFactory(dataset=pool).user
    for options, words in (
        (("--plan",), "Who acts"),
        (("--plan", "--user", "nobody"), "no user"),
        (("--plan", "--user", reviewer.username), ""),
        (("--accept", "--user", pool.admin.username), "no certificate yet"),
        (("--plan", "--state"), "only one of"),
        (("--plan", "--user", pool.admin.username, "--alpha", "0.7"), "at most 50 %"),
        (("--plan", "--user", pool.admin.username, "--alpha", "2"), "do not fit"),
        (("--plan", "--user", pool.admin.username, "--import", "99999"), "no such import"),
        (("--plan", "--user", pool.admin.username, "--label-alpha", "red"), "no label with a share"),
    ):
        with pytest.raises(CommandError, match=words):
            call_command("certify", pool.slug, *options)
    with pytest.raises(CommandError, match="no dataset"):
        call_command("certify", "nowhere", "--state")
    assert not CertificatePlan.objects.exists() and not Certificate.objects.exists()


def test_share_of_a_single_label(pool: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, pool, "--plan", "--alpha", "0.2", "--label-alpha", "red=0.1")
    [plan] = CertificatePlan.objects.all()
    assert plan.alpha_by_label == {str(pool.labels.get(name="red").pk): 0.1}
