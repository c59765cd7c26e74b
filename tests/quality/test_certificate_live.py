"""The running audit on the page and in the API: what it shows, what it hides, what looking changes."""

import math
import re
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from mekiki.audit.models import Event
from mekiki.jobs.models import Job
from mekiki.quality.audit_state import AuditState, read_audit_state
from mekiki.quality.certificate_progress import STEP, shown_checks
from mekiki.quality.services.certificates import draw_next, record_check
from tests.quality_setup import SEED, CertifiedPool
from verification.certificates.decision import OPEN, RIGHT, WRONG, Audits, decide
from verification.certificates.protocol import PLANNED, WATCHED, Protocol

pytestmark = pytest.mark.django_db


class Audit(CertifiedPool):
    """A running audit of 200 images whose job runs after each answer."""

    def __init__(self) -> None:
        super().__init__(size=200, alpha=0.1, limit=100, levels=(0.5, 1.0))
        self.freeze()
        self.check()

    def check(self) -> None:
        """Do what the job of the certificate does."""
        state = read_audit_state(self.certificate)
        record_check(certificate=self.certificate, figures=state.figures)
        draw_next(certificate=self.certificate, state=state)

    def judge(self, *, wrong: bool = False, person: int = 0, kind: str = "correct") -> None:
        """Answer the next image of the audit."""
        [leased] = self.next(self.people[person])
        label = {} if kind == "skip" else {"label": self.labels[1 if wrong else 0]}
        self.answer(self.people[person], leased, kind, **label)
        self.check()

    def client(self, user: Any) -> Client:
        client = Client(headers={"accept-language": "en"})
        client.force_login(user)
        return client

    def live(self, user: Any, state: str = "") -> Any:
        """Ask for the part of the page that changes."""
        address = f"/d/{self.dataset.slug}/quality/certificates/1/live/"
        return self.client(user).get(address, {"state": state})


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def evidence_part(text: str) -> str:
    """Return the part of the page with errors and evidence, and what is certified so far."""
    certified = re.search(r"Certified so far.*?</dd>", text)
    assert certified is not None
    return certified.group() + text[text.index('id="audit-title"') :]


def test_page_names_who_judged_how_many_and_what_is_unresolved() -> None:
    world = Audit()
    for person in (0, 0, 1):
        world.judge(person=person)
    world.judge(kind="skip")
    text = text_of(world.live(world.admin))
    first, second = (user.get_username() for user in world.people)
    assert f"{first}: 3" in text and f"{second}: 1" in text  # a skip is a judgement, too
    assert "count as wrong until they are resolved" in text
    assert "The audit ends by itself" in text


def test_single_answer_changes_nothing_that_tells_right_from_wrong() -> None:
    """Two audits that differ in one answer look the same until STEP answers are given."""
    pages = []
    for wrong in (False, True):
        world = Audit()
        before = evidence_part(text_of(world.live(world.admin)))
        for number in range(STEP - 1):
            world.judge(wrong=wrong and number == 2)
            assert evidence_part(text_of(world.live(world.admin))) == before
        world.judge()
        pages.append((before, evidence_part(text_of(world.live(world.admin)))))
    assert pages[0][1] != pages[0][0]
    assert pages[0][1] != pages[1][1]  # after STEP answers the number of wrong ones is shown


def test_all_checks_are_shown_after_the_end() -> None:
    world = Audit()
    for _ in range(STEP + 2):
        world.judge()
    assert len(shown_checks(world.certificate)) == 2
    world.end()
    shown = shown_checks(world.certificate)
    assert len(shown) > STEP and shown[-1] == world.certificate.checks.first()


def test_looking_changes_nothing_and_an_unchanged_page_is_not_sent_again() -> None:
    world = Audit()
    world.judge()
    text = world.live(world.people[0]).content.decode()
    state = re.search(r"live/\?state=([\d-]+)", text)
    assert state is not None and "every 4s" in text
    counts = Job.objects.count(), Event.objects.count(), world.certificate.checks.count()
    for _ in range(3):
        assert world.live(world.people[0], state[1]).status_code == 204
    assert (Job.objects.count(), Event.objects.count(), world.certificate.checks.count()) == counts
    world.judge()
    assert world.live(world.people[0], state[1]).status_code == 200


def test_new_check_alone_is_sent() -> None:
    """The job checks an answer some seconds after it was given."""
    world = Audit()
    for _ in range(STEP - 1):
        world.judge()
    [leased] = world.next(world.people[0])
    world.answer(world.people[0], leased, "correct", label=world.labels[0])
    state = re.search(r"live/\?state=([\d-]+)", world.live(world.admin).content.decode())
    assert state is not None
    record_check(certificate=world.certificate, figures=read_audit_state(world.certificate).figures)
    assert world.live(world.admin, state[1]).status_code == 200


def test_page_is_loaded_again_when_the_audit_has_ended() -> None:
    world = Audit()
    world.end()
    answer = world.live(world.admin)
    assert answer.status_code == 204 and answer["HX-Trigger"] == "mekiki:reload"


def test_result_shows_its_bound_the_weaker_statement_and_the_way_to_explanations() -> None:
    world = CertifiedPool()
    world.freeze()
    world.answer_audits()
    world.end()
    page = world.dataset.slug
    client = Client(headers={"accept-language": "en"})
    client.force_login(world.admin)
    text = text_of(client.get(f"/d/{page}/quality/certificates/1/"))
    check = world.certificate.checks.first()
    assert check is not None
    assert f"The machine sets {check.left} labels" in text
    assert f"at most {check.promised} of the labels set by machine are wrong" in text
    assert "A weaker statement, for comparison" in text
    explained = client.get(f"/d/{page}/quality/certificates/explained/").content.decode()
    for anchor in set(re.findall(r"certificates/explained/#([\w-]+)", text)):
        assert f'id="{anchor}"' in explained
    assert len(set(re.findall(r"explained/#([\w-]+)", text))) >= 4


def test_api_returns_what_the_page_may_show() -> None:
    world = Audit()
    for number in range(STEP - 1):
        world.judge(wrong=number == 1)
    base = f"/api/v1/datasets/{world.dataset.slug}/certificates"
    client = world.client(world.people[0])
    assert [row["version"] for row in client.get(base).json()] == [1]
    body = client.get(f"{base}/1").json()
    assert (body["state"], body["seed"], body["judged"]) == ("auditing", "", 0)
    assert body["progress"]["labelled"] == STEP - 1 and body["regions"][0]["other_label"] == 0
    assert body["commitment"] == world.certificate.commitment
    world.end()
    body = client.get(f"{base}/1").json()
    assert body["seed"] == SEED.hex() and body["regions"][0]["other_label"] == 1
    assert client.get(f"{base}/7").status_code == 404
    assert world.client(CertifiedPool().admin).get(f"{base}/1").status_code == 404


@given(
    answers=st.integers(0, 60),
    wrong=st.sets(st.integers(0, 59), max_size=6),
    still_open=st.sets(st.integers(0, 59), max_size=2),
    test=st.sampled_from([WATCHED, PLANNED]),
    alpha=st.sampled_from([0.05, 0.1, 0.3]),
)
def test_stored_evidence_reaches_the_needed_value_exactly_where_a_region_meets_its_bound(
    answers: int, wrong: set[int], still_open: set[int], test: str, alpha: float
) -> None:
    states = [OPEN if n in still_open else WRONG if n in wrong else RIGHT for n in range(answers)]
    protocol = Protocol(alpha=alpha, delta=0.05, limit=60, levels=(0.5, 1.0), test=test)
    candidates = 120
    ranks = [(7 * place) % candidates for place in range(len(states))]  # 7 and 120 have no common divisor
    audits = Audits(ranks, states)
    result = decide(protocol, candidates, audits)
    state = AuditState(protocol, candidates, 130, audits, result, len(states), 0)
    for evidence, region in zip(state.figures["evidence"], result.regions, strict=True):
        assert (evidence >= math.log(1 / 0.05) - 1e-9) == (region.most_wrong <= region.promised)
