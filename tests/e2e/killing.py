"""What the kill tests stand on: one real platform, its processes, its database, and reviewers who never give up."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from mekiki.embedded.supervisor import Platform
from mekiki.simulation.clients import HttpClient

LABELS = ["crazing", "inclusion", "patches", "pitted surface", "rolled-in scale", "scratches"]
# By design a dead worker is noticed after 25 s of silence, by a sweep every 10 s, and a lost message after 30 s.
TAKEN_UP, FINISHED = 60.0, 240.0  # seconds; the second leaves room for a machine busy with other things

PREPARE = """
import json, sys
from mekiki.accounts.models import Role
from mekiki.accounts.services import create_user, set_role
from mekiki.datasets.services import create_dataset
from mekiki.labeling.services import set_schema
from mekiki.simulation.setting_up import make_people

wanted = json.load(sys.stdin)
people = make_people()
others = []
for name in wanted["reviewers"]:
    people.passwords[name] = people.passwords["reviewer"]
    others.append(create_user(name=name, password=people.passwords[name]))
for slug in wanted["datasets"]:
    dataset = create_dataset(
        name=slug, slug=slug, user=people.admin, retrain_every=0, queue_target=wanted["queue_target"]
    )
    for user in (people.reviewer, *others):
        set_role(dataset=dataset, user=user, role=Role.REVIEWER, actor=people.admin)
    labels = [{"name": name, "prompts": [f"a photo of {name} on steel"]} for name in wanted["labels"]]
    set_schema(dataset=dataset, labels=labels, user=people.admin)
json.dump(people.passwords, sys.stdout)
"""


def until(condition: Callable[[], Any], seconds: float, what: str, every: float = 0.05) -> Any:
    """Wait for a condition; its value. AssertionError, naming `what`, when the time is over."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"after {seconds:.0f} s still not: {what}"
        time.sleep(every)
    return value


class Site:
    """A platform with datasets that have labels and prompts, and no images yet."""

    def __init__(
        self,
        platform: Platform,
        datasets: list[str],
        reviewers: Sequence[str] = ("vanishing",),
        queue_target: int = 120,
    ) -> None:
        self.platform = platform
        self._connection: psycopg.Connection[Any] | None = None
        self.given: list[Answer] = []  # by every reviewer who has finished
        wanted = {
            "datasets": datasets,
            "labels": LABELS,
            "reviewers": reviewers,
            "queue_target": queue_target,
        }
        given = json.dumps(wanted)
        self.passwords = json.loads(self._manage("manage", "shell", "-v", "0", "-c", PREPARE, stdin=given))
        until(lambda: not self.active(), FINISHED, "no job is left of the preparations")

    def _manage(self, *arguments: str, stdin: str = "") -> str:
        command = [sys.executable, "-m", "mekiki", *arguments]
        done = subprocess.run(
            command, env=self.platform.env, input=stdin, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def bring_in(self, slug: str, folder: Path) -> None:
        """Queue the import of a folder. The worker goes on to embeddings, predictions and the queue."""
        self._manage("import", slug, str(folder), "--user", "admin")

    # --- The truth ---------------------------------------------------------------------------------------

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows straight from the database; waits while it is down."""
        deadline = time.monotonic() + 60
        while True:
            try:
                if self._connection is None:
                    self._connection = psycopg.connect(
                        self.platform.database_url, autocommit=True, connect_timeout=10
                    )
                return self._connection.execute(sql.encode(), values).fetchall()
            except psycopg.OperationalError:
                self.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def close(self) -> None:
        """Let go of the database."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None

    def one(self, sql: str, *values: Any) -> Any:
        """The first value of the first row."""
        return self.query(sql, *values)[0][0]

    def active(self, slug: str = "") -> list[tuple[Any, ...]]:
        """(kind, state, attempt) of the jobs that wait or run."""
        return self.query(
            "SELECT j.kind, j.state, j.attempt"
            " FROM jobs_job j LEFT JOIN datasets_dataset d ON d.id = j.dataset_id"
            " WHERE j.state IN ('queued', 'running') AND (d.slug = %s OR %s = '')",
            slug,
            slug,
        )

    def jobs(self, slug: str) -> list[tuple[str, str, int, str, dict[str, Any]]]:
        """(kind, state, attempt, error, result) of every job of a dataset, oldest first."""
        return self.query(
            "SELECT j.kind, j.state, j.attempt, j.error, j.result"
            " FROM jobs_job j JOIN datasets_dataset d ON d.id = j.dataset_id"
            " WHERE d.slug = %s ORDER BY j.created_at",
            slug,
        )

    def embedded(self, slug: str) -> int:
        """How many embeddings the dataset's images have."""
        return self.one(
            "SELECT count(*) FROM learning_embedding e JOIN datasets_image i ON i.id = e.image_id"
            " JOIN datasets_dataset d ON d.id = i.dataset_id WHERE d.slug = %s",
            slug,
        )

    def attempt(self, slug: str, kind: str) -> int:
        """How often the newest job of a kind was begun."""
        rows = [attempt for job, _state, attempt, *_rest in self.jobs(slug) if job == kind]
        return rows[-1] if rows else 0

    def finished(self, slug: str) -> bool:
        """Was the dataset predicted, and is nothing left to do?"""
        return not self.active(slug) and any(job[0] == "predict" and job[2] for job in self.jobs(slug))

    def check_complete(self, slug: str, images: int) -> None:
        """Every job done; every image stored, embedded and predicted once by the champion; the queue filled."""
        assert [job for job in self.jobs(slug) if job[1] != "succeeded"] == []
        (stored, encoded, distinct, predicted, unreadable) = self.query(
            "SELECT count(*), count(e.image_id), count(DISTINCT e.image_id), count(p.image_id), count(x.id)"
            " FROM datasets_image i JOIN datasets_dataset d ON d.id = i.dataset_id"
            " LEFT JOIN learning_champion c ON c.dataset_id = d.id"
            " LEFT JOIN learning_head h ON h.id = c.head_id"
            " LEFT JOIN learning_embedding e ON e.image_id = i.id AND e.encoder_id = h.encoder_id"
            " LEFT JOIN learning_encodingproblem x ON x.image_id = i.id"
            " LEFT JOIN learning_prediction p ON p.image_id = i.id AND p.head_id = c.head_id"
            " WHERE d.slug = %s",
            slug,
        )[0]
        found = {"stored": stored, "rows": encoded, "embedded": distinct, "predicted": predicted}
        assert found == dict.fromkeys(found, images), f"{slug}: {found}, {self.jobs(slug)}"
        assert unreadable == 0
        waiting, twice = self.query(
            "SELECT count(*), count(*) - count(DISTINCT q.image_id) FROM review_queueitem q"
            " JOIN datasets_dataset d ON d.id = q.dataset_id WHERE d.slug = %s AND q.state = 'waiting'",
            slug,
        )[0]
        assert waiting > 0
        assert twice == 0
        # Each job ended once: one event for each, whatever was sent twice.
        ended = self.query(
            "SELECT e.object_id, count(*) FROM audit_event e JOIN datasets_dataset d ON d.id = e.dataset_id"
            " WHERE d.slug = %s AND e.kind LIKE 'job.%%' AND e.kind <> 'job.queued' GROUP BY 1",
            slug,
        )
        assert [count for _job, count in ended] == [1] * len(self.jobs(slug))

    # --- The processes -----------------------------------------------------------------------------------

    def kill(self, name: str) -> float:
        """`kill -9` of a server's main process; when that was."""
        os.kill(until(lambda: self.platform.pids().get(name), 60, f"{name} runs"), signal.SIGKILL)
        return time.monotonic()

    def kill_children(self, name: str) -> float:
        """`kill -9` of the processes a server works with, not of itself; when that was."""
        children = until(lambda: self.family(name)[1:], 60, f"{name} has children")
        for child in children:
            with suppress(psutil.Error):
                child.kill()
        return time.monotonic()

    def family(self, name: str) -> list[psutil.Process]:
        """A server's main process and its children; nothing while it is down."""
        with suppress(psutil.Error, KeyError):
            main = psutil.Process(self.platform.pids()[name])
            return [main, *main.children()]
        return []

    def pause(self, name: str, number: int) -> None:
        """SIGSTOP or SIGCONT to a server and its children."""
        for process in self.family(name):
            process.send_signal(number)

    def mended(self, name: str, before: int) -> bool:
        """Does the server run under another process id than before?"""
        return self.platform.pids().get(name, before) != before


@dataclass
class Answer:
    """One answer, as the reviewer knows it."""

    key: uuid.UUID
    item: int
    label: int
    reply: dict[str, Any]
    tries: int


class Reviewer(HttpClient):
    """Answers in a thread of its own until told to stop. What fails is sent again with the same key."""

    def __init__(self, site: Site, slug: str, name: str) -> None:
        super().__init__(site.platform.url, slug, name, site.passwords[name])
        self._site = site
        self.answers: list[Answer] = []
        self.pace = 0.0  # seconds between two answers
        self.longest = 0.0  # seconds between the first try of an answer and its acknowledgement
        self.broken: BaseException | None = None
        self._labels = [
            row[0]
            for row in site.query(
                "SELECT l.id FROM labeling_label l JOIN datasets_dataset d ON d.id = l.dataset_id"
                " WHERE d.slug = %s",
                slug,
            )
        ]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"reviewer {name}", daemon=True)

    def __enter__(self) -> "Reviewer":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.finish()

    def end(self, seconds: float = 120) -> None:
        """Let the answer in hand arrive, then stop."""
        self._stop.set()
        self._thread.join(seconds)
        assert not self._thread.is_alive()
        self._site.given += self.answers

    def finish(self) -> None:
        """As `end`; raises what stopped the reviewer earlier."""
        self.end()
        if self.broken is not None:
            raise self.broken

    def insist(self, act: str, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """(the reply, how many tries it took). Only what the site itself refuses (4xx) is an error."""
        deadline = time.monotonic() + 90
        tries = 0
        while True:
            tries += 1
            try:
                return self._post(act, body), tries
            except (OSError, http.client.HTTPException, json.JSONDecodeError, RuntimeError) as error:
                refused = isinstance(error, RuntimeError) and " answered 5" not in str(error)
                if refused or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                items = self.insist("next", {"count": 3})[0]["items"]
                for question in items:
                    self._answer(question)
                    if self._stop.wait(self.pace):
                        return
                if not items:
                    time.sleep(0.2)
        except BaseException as error:
            self.broken = error

    def _answer(self, question: dict[str, Any]) -> None:
        key, began = uuid.uuid4(), time.monotonic()
        label = self._labels[question["item"] % len(self._labels)]
        body = {"item": question["item"], "lease": question["lease"], "kind": "correct", "label": label}
        reply, tries = self.insist("answer", {**body, "client_key": str(key)})
        self.longest = max(self.longest, time.monotonic() - began)
        self.answers.append(Answer(key, question["item"], label, reply, tries))


def check_answers(site: Site, slug: str) -> None:
    """Everything acknowledged is recorded once, as acknowledged, and nothing else is."""
    given = site.given
    rows = site.query(
        "SELECT x.client_key, x.id, x.item_id, x.label_id,"
        " (SELECT count(*) FROM audit_event e"
        " WHERE e.kind = 'decision.recorded' AND e.object_id = x.id::text)"
        " FROM review_decision x JOIN datasets_dataset d ON d.id = x.dataset_id"
        " WHERE d.slug = %s ORDER BY x.id",
        slug,
    )
    assert len(rows) == len(given)
    recorded = {key: (decision, item, label, events) for key, decision, item, label, events in rows}
    assert recorded == {a.key: (a.reply["decision"], a.item, a.label, 1) for a in given}
    # An image that was asked about once was answered once, and its confirmed label follows from the answer.
    assert len({answer.item for answer in given if not answer.reply["late"]}) == sum(
        not answer.reply["late"] for answer in given
    )
    unlike = site.one(
        "SELECT count(*) FROM review_decision x JOIN datasets_dataset d ON d.id = x.dataset_id"
        " LEFT JOIN review_confirmedlabel c ON c.decision_id = x.id"
        " WHERE d.slug = %s AND NOT x.late AND c.label_id IS DISTINCT FROM x.label_id",
        slug,
    )
    assert unlike == 0
