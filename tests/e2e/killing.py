"""Tools of the kill tests: a real platform, its processes and database, and persistent reviewers."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from mekiki.embedded.supervisor import Platform
from mekiki.simulation.clients import HttpClient
from tests.waiting import PATIENCE, until

LABELS = ["crazing", "inclusion", "patches", "pitted surface", "rolled-in scale", "scratches"]

PREPARE = """
import json, sys
from mekiki.accounts.models import Role
from mekiki.accounts.services import create_user, set_role
from mekiki.datasets.services import create_dataset
from mekiki.labeling.services import set_schema
from mekiki.simulation.setting_up import create_users

wanted = json.load(sys.stdin)
people = create_users()
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


class Site:
    """A platform with datasets that have labels and prompts and no images yet."""

    def __init__(
        self,
        platform: Platform,
        datasets: list[str],
        reviewers: Sequence[str] = ("vanishing",),
        queue_target: int = 120,
    ) -> None:
        self.platform = platform
        self._connection: psycopg.Connection[Any] | None = None
        self.answers_of_all: list[Answer] = []  # by every reviewer who has finished
        wanted = {
            "datasets": datasets,
            "labels": LABELS,
            "reviewers": reviewers,
            "queue_target": queue_target,
        }
        text = json.dumps(wanted)
        self.passwords = json.loads(self._manage("manage", "shell", "-v", "0", "-c", PREPARE, stdin=text))
        until(lambda: not self.active(), "no job is left of the preparations")

    def _manage(self, *arguments: str, stdin: str = "") -> str:
        command = [sys.executable, "-m", "mekiki", *arguments]
        process = subprocess.run(
            command, env=self.platform.env, input=stdin, capture_output=True, text=True, timeout=120
        )
        assert process.returncode == 0, process.stderr
        return process.stdout

    def bring_in(self, slug: str, folder: Path) -> None:
        """Queue the import of a folder. The worker continues with embeddings, predictions and the queue."""
        self._manage("import", slug, str(folder), "--user", "admin")

    # --- The database ------------------------------------------------------------------------------------

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return rows of the database. Waits while the database is down."""
        deadline = time.monotonic() + PATIENCE
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
        """Close the connection to the database."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None

    def first_value(self, sql: str, *values: Any) -> Any:
        """Return the first value of the first row."""
        return self.query(sql, *values)[0][0]

    def active(self, slug: str = "") -> list[tuple[Any, ...]]:
        """Return (kind, state, attempt) of the queued and running jobs."""
        return self.query(
            "SELECT j.kind, j.state, j.attempt"
            " FROM jobs_job j LEFT JOIN datasets_dataset d ON d.id = j.dataset_id"
            " WHERE j.state IN ('queued', 'running') AND (d.slug = %s OR %s = '')",
            slug,
            slug,
        )

    def jobs(self, slug: str) -> list[tuple[str, str, int, str, dict[str, Any]]]:
        """Return (kind, state, attempt, error, result) of every job of a dataset, oldest first."""
        return self.query(
            "SELECT j.kind, j.state, j.attempt, j.error, j.result"
            " FROM jobs_job j JOIN datasets_dataset d ON d.id = j.dataset_id"
            " WHERE d.slug = %s ORDER BY j.created_at",
            slug,
        )

    def embedded(self, slug: str) -> int:
        """Return the number of embeddings of the dataset's images."""
        return self.first_value(
            "SELECT count(*) FROM learning_embedding e JOIN datasets_image i ON i.id = e.image_id"
            " JOIN datasets_dataset d ON d.id = i.dataset_id WHERE d.slug = %s",
            slug,
        )

    def attempt(self, slug: str, kind: str) -> int:
        """Return the number of attempts of the newest job of a kind."""
        rows = [attempt for job, _state, attempt, *_rest in self.jobs(slug) if job == kind]
        return rows[-1] if rows else 0

    def finished(self, slug: str) -> bool:
        """Return whether the dataset was predicted and no work is left."""
        return not self.active(slug) and any(job[0] == "predict" and job[2] for job in self.jobs(slug))

    def check_complete(self, slug: str, images: int) -> None:
        """Check that the dataset is complete.

        Every job is done. Every image is stored, embedded and predicted once by the champion. The queue is
        filled.
        """
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
        counts = {"stored": stored, "rows": encoded, "embedded": distinct, "predicted": predicted}
        assert counts == dict.fromkeys(counts, images), f"{slug}: {counts}, {self.jobs(slug)}"
        assert unreadable == 0
        waiting, twice = self.query(
            "SELECT count(*), count(*) - count(DISTINCT q.image_id) FROM review_queueitem q"
            " JOIN datasets_dataset d ON d.id = q.dataset_id WHERE d.slug = %s AND q.state = 'waiting'",
            slug,
        )[0]
        assert waiting > 0
        assert twice == 0
        # Each job ended once: it has one event, whatever was sent twice.
        ending_events = self.query(
            "SELECT e.object_id, count(*) FROM audit_event e JOIN datasets_dataset d ON d.id = e.dataset_id"
            " WHERE d.slug = %s AND e.kind LIKE 'job.%%' AND e.kind <> 'job.queued' GROUP BY 1",
            slug,
        )
        assert [count for _job, count in ending_events] == [1] * len(self.jobs(slug))

    # --- The processes -----------------------------------------------------------------------------------

    def kill(self, name: str) -> float:
        """Kill the main process of a server (SIGKILL) and return the time."""
        os.kill(until(lambda: self.platform.pids().get(name), f"{name} runs"), signal.SIGKILL)
        return time.monotonic()

    def kill_children(self, name: str) -> float:
        """Kill the child processes of a server (SIGKILL), not its main process, and return the time."""
        children = until(lambda: self.family(name)[1:], f"{name} has children")
        for child in children:
            with suppress(psutil.Error):
                child.kill()
        return time.monotonic()

    def family(self, name: str) -> list[psutil.Process]:
        """Return the main process of a server and its children, or nothing while it is down."""
        with suppress(psutil.Error, KeyError):
            main = psutil.Process(self.platform.pids()[name])
            return [main, *main.children()]
        return []

    def pause(self, name: str, number: int) -> None:
        """Send SIGSTOP or SIGCONT to a server and its children."""
        for process in self.family(name):
            process.send_signal(number)

    def was_restarted(self, name: str, before: int) -> bool:
        """Return whether the server runs under another process id than before."""
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
    """A reviewer who answers in a thread until stopped. Failed requests are sent again with the same key."""

    def __init__(self, site: Site, slug: str, name: str) -> None:
        super().__init__(site.platform.url, slug, name, site.passwords[name])
        self._site = site
        self.answers: list[Answer] = []
        self.pace = 0.0  # seconds between two answers
        self.longest = 0.0  # seconds between the first attempt of an answer and its acknowledgement
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

    def end(self) -> None:
        """Wait for the current answer, then stop."""
        self._stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._site.answers_of_all += self.answers

    def finish(self) -> None:
        """Stop like `end`, and raise the error that stopped the reviewer earlier."""
        self.end()
        if self.broken is not None:
            raise self.broken

    def insist(self, act: str, body: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """Return (reply, number of attempts). Only a refusal by the site (4xx) is an error."""
        deadline = time.monotonic() + PATIENCE
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
                for leased in items:
                    self._answer(leased)
                    if self._stop.wait(self.pace):
                        return
                if not items:
                    time.sleep(0.2)
        except BaseException as error:
            self.broken = error

    def _answer(self, leased: dict[str, Any]) -> None:
        key, start = uuid.uuid4(), time.monotonic()
        label = self._labels[leased["item"] % len(self._labels)]
        body = {"item": leased["item"], "lease": leased["lease"], "kind": "correct", "label": label}
        reply, tries = self.insist("answer", {**body, "client_key": str(key)})
        self.longest = max(self.longest, time.monotonic() - start)
        self.answers.append(Answer(key, leased["item"], label, reply, tries))


def check_answers(site: Site, slug: str) -> None:
    """Check that every acknowledged answer is recorded once, unchanged, and that nothing else is recorded."""
    answers = site.answers_of_all
    rows = site.query(
        "SELECT x.client_key, x.id, x.item_id, x.label_id,"
        " (SELECT count(*) FROM audit_event e"
        " WHERE e.kind = 'decision.recorded' AND e.object_id = x.id::text)"
        " FROM review_decision x JOIN datasets_dataset d ON d.id = x.dataset_id"
        " WHERE d.slug = %s ORDER BY x.id",
        slug,
    )
    assert len(rows) == len(answers)
    recorded = {key: (decision, item, label, events) for key, decision, item, label, events in rows}
    assert recorded == {a.key: (a.reply["decision"], a.item, a.label, 1) for a in answers}
    # An image in the queue once was answered once, and its confirmed label follows from that answer.
    assert len({answer.item for answer in answers if not answer.reply["late"]}) == sum(
        not answer.reply["late"] for answer in answers
    )
    differing = site.first_value(
        "SELECT count(*) FROM review_decision x JOIN datasets_dataset d ON d.id = x.dataset_id"
        " LEFT JOIN review_confirmedlabel c ON c.decision_id = x.id"
        " WHERE d.slug = %s AND NOT x.late AND c.label_id IS DISTINCT FROM x.label_id",
        slug,
    )
    assert differing == 0
