"""The simulated review in rounds: answer, train, score. At the end a label set is frozen and verified."""

import json
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from tqdm import tqdm

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset
from mekiki.exports import services as exports
from mekiki.learning import services as learning
from mekiki.learning.accuracy import leads_with_interval
from mekiki.learning.models import TrainingRun
from mekiki.simulation.clients import ReviewClient
from mekiki.simulation.scoring import Score, score
from mekiki.simulation.truth import Truth
from mekiki.simulation.waiting import wait_for_jobs
from verification.label_set.verify import verify


def answer_questions(client: ReviewClient, truth: Truth, count: int, *, quiet: bool = False) -> int:
    """Answer up to `count` questions truthfully. Return how many were answered."""
    answered = 0
    with tqdm(
        total=count, desc="answering", unit=" images", leave=False, disable=True if quiet else None
    ) as bar:
        while answered < count:
            questions = client.next(min(5, count - answered))
            if not questions:
                break
            for question in questions:
                true = truth.by_hash[question["sha256"]]
                shown = None if question["blind"] else question["predicted"]
                client.answer(question, "confirm" if shown == true else "correct", true)
            answered += len(questions)
            bar.update(len(questions))
    return answered


def run(
    *,
    dataset: Dataset,
    truth: Truth,
    client: ReviewClient,
    admin: User,
    budget: int,
    batch: int,
    say: Callable[[str], None],
    quiet: bool = False,
    started: float | None = None,
) -> dict[str, Any]:
    """Run rounds until `budget` answers are given or no question is left.

    The dataset's images must have predictions and its queue must be filled. Returns the figures of the --json
    file. `rounds` starts with the zero-shot head.
    """
    started = started or time.monotonic()
    first = score(truth, 0)
    rounds = [first]
    say(_header())
    say(_line(first, "zero-shot"))
    answers = 0
    while answers < budget:
        wanted = min(batch, budget - answers)
        given = 0
        while given < wanted:
            some = answer_questions(client, truth, wanted - given, quiet=quiet)
            given += some
            # Answers start a refill of the queue. Wait for it, so that each round starts from the same state
            # and an empty queue means that nothing is left.
            wait_for_jobs(dataset, quiet=quiet)
            if not some:
                break
        if not given:
            say("Nothing is left to ask.")
            break
        answers += given
        with suppress(ValidationError):  # only the audit sample has labels so far
            learning.request_training(dataset=dataset, trigger=TrainingRun.Trigger.BUTTON, user=admin)
        wait_for_jobs(dataset, quiet=quiet)
        rounds.append(score(truth, answers))
        say(_line(rounds[-1], f"round {len(rounds) - 1}"))
    verified = freeze_and_verify(dataset, admin, say)
    return {
        "encoder": dataset.encoder_name,
        "detail": dataset.use_detail,
        "images": len(truth.by_id),
        "labels": len(set(truth.by_id.values())),
        "zero_shot_accuracy": round(first.accuracy, 4),
        "zero_shot_macro_recall": round(first.macro_recall, 4),
        "final_accuracy": round(rounds[-1].accuracy, 4),
        "final_macro_recall": round(rounds[-1].macro_recall, 4),
        "answers": answers,
        "seconds": round(time.monotonic() - started, 1),
        "verified": verified,
        "rounds": [r.as_json() for r in rounds],
    }


def freeze_and_verify(dataset: Dataset, admin: User, say: Callable[[str], None]) -> bool:
    """Freeze the confirmed labels, download the label set and verify it as an outsider would.

    Returns whether it is valid.
    """
    label_set = exports.freeze(dataset=dataset, user=admin, note="simulated review")
    wait_for_jobs(dataset)
    label_set.refresh_from_db()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "labels.zip"
        with default_storage.open(label_set.file) as source, file.open("wb") as target:
            while block := source.read(1 << 20):
                target.write(block)
        report = verify(file)
    say(
        f"Label set v{label_set.version}: {label_set.human_labels} labels, verified: "
        f"{'yes' if report.ok else 'NO'}"
    )
    for problem in report.problems:
        say(f"  {problem}")
    return report.ok


def write_json(path: Path, figures: dict[str, Any]) -> None:
    """Write the figures to a JSON file. Missing folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _header() -> str:
    return (
        "             answers   accuracy on the blind audit sample      on the hidden truth"
        "   macro recall   still uncertain"
    )


def _line(r: Score, name: str) -> str:
    audit = "not measured yet"
    if r.audit is not None:
        a = r.audit
        within = f"[{a['low']:.1%} – {a['high']:.1%}]"
        rest = f"n = {a['n']}" + (f" of {a['drawn']} drawn" if a["drawn"] > a["n"] else "")
        if leads_with_interval(a["n"]):
            audit = f"{within}, {a['correct']} right, {rest}"
        else:
            audit = f"{a['estimate']:6.1%}  {within}, {rest}"
    return (
        f"{name:<12} {r.answers:>7}   {audit:<38}  {r.accuracy:>18.1%}"
        f"   {r.macro_recall:>12.1%}   {r.uncertain:>15}"
    )
