"""The log of a training run: codes with values, translated. Older plain text is unchanged."""

import ast
import html
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from mekiki.learning.messages import TRAINING_LOG
from mekiki.learning.training_log import add, log_in_words, sentence
from tests.factories import DatasetFactory, HeadFactory, LabelFactory, TrainingRunFactory, UserFactory

ROOT = Path(__file__).parents[2]
TIME = r"\d\d:\d\d:\d\d  "


def codes_of(folder: str) -> set[str]:
    """Return the codes that `log("…")` is called with in the modules of a folder of workers/."""
    codes = set()
    for path in (ROOT / "workers" / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("log", "self"):
                assert node.args and isinstance(node.args[0], ast.Constant), f"{path}: a code is written out"
                codes.add(str(node.args[0].value))
    return codes


def test_log_codes_and_sentences_match() -> None:
    assert codes_of("heads") | codes_of("stages") | codes_of("steps") == set(TRAINING_LOG)


def test_figures_and_kinds_follow_the_conventions_of_the_language() -> None:
    values = {"kind": "gaussian", "log_loss": 0.43172, "gap": 0.0, "gap_error": 0.0, "taken": True}
    with translation.override("ja"):
        assert sentence("candidate", values) == (
            "「ガウス判別（ラベルで学習）」：交差検証の対数損失は 0.432 で、最良です。この種類を選びました。"
        )
        assert "12,345 枚" in sentence("predicting", {"head": 3, "images": 12345})
        metrics = {
            "cv_accuracy": 0.9999,
            "zero_shot_reviewed_accuracy": 0.5,
            "log_loss": 0.1,
            "calibration_error": 0.01,
        }
        assert "正解率 99.9 %（プロンプトのみ 50.0 %）" in sentence("cross_validated", metrics)
    assert sentence("predicting", {"head": 3, "images": 1}) == "Head #3 predicts 1 image."
    assert sentence("unlabelled", {"classes": 1}).startswith("1 label has no image for training")


def test_error_is_shown_in_the_readers_language_where_available() -> None:
    texts = {"en": "No prompt.", "ja": "プロンプトがありません。"}
    for error in (texts, {"ja": texts["ja"]}, texts["ja"]):
        with translation.override("ja"):
            assert sentence("failed", {"error": error}) == "学習に失敗しました：プロンプトがありません。"
    assert sentence("failed", {"error": texts}) == "The run failed: No prompt."
    assert sentence("failed", {"error": {"ja": texts["ja"]}}) == "The run failed: プロンプトがありません。"


def test_unknown_log_codes_are_shown() -> None:
    assert sentence("new_code", {"a": 1, "b": "あ"}) == 'new_code (a=1, b="あ")'
    assert sentence("new_code", {}) == "new_code"
    assert sentence("predicting", {"head": 3}) == "predicting (head=3)", "a value is missing"
    assert sentence("predicting", {"head": 3, "images": "many"}) == 'predicting (head=3, images="many")'
    assert sentence("verdict", {"promoted": True, "reason": None}) == "verdict (promoted=true, reason=null)"


@pytest.mark.django_db  # the database's clock dates a new line
@given(st.text(max_size=200))
def test_older_plain_text_logs_are_shown_unchanged(text: str) -> None:
    old = "14:02:11  " + text.replace("\r", "").replace("\n", "\n14:02:12  ")
    assert log_in_words(old) == old
    log = add(old, "stopped", {})
    assert log_in_words(log).startswith(old + "\n") and log_in_words(log).endswith("Stopped by a person.")


@pytest.mark.django_db
@given(st.text(max_size=200))
def test_errors_with_newlines_stay_on_one_line(error: str) -> None:
    log = add(add("", "failed", {"error": error}), "stopped", {})
    lines = log_in_words(log).split("\n")
    assert len(lines) == 2 and re.fullmatch(TIME + "Stopped by a person.", lines[1])
    assert len(lines[0].splitlines()) == 1


@pytest.mark.filterwarnings("ignore:Plural value must be an integer")
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_log_lines_accept_any_values(value: Any) -> None:
    for code in TRAINING_LOG:
        names = (
            "labels",
            "images",
            "n",
            "kind",
            "log_loss",
            "gap",
            "cv_accuracy",
            "reason",
            "scale",
            "error",
        )
        assert sentence(code, dict.fromkeys(names, value))


# -- pages --------------------------------------------------------------------------------------------------


def client(user: Any, language: str) -> Client:
    browser = Client(headers={"accept-language": language})
    browser.force_login(user)
    return browser


@pytest.mark.django_db
def test_pages_show_and_escape_old_and_new_logs() -> None:
    viewer = UserFactory(username="viewer")
    dataset = DatasetFactory(viewer=viewer, slug="parts")
    LabelFactory(dataset=dataset, name="good")
    head = HeadFactory(dataset=dataset)
    hostile = "<img src=x onerror=alert(1)>"
    old = f"14:02:11  24 labels to learn from\n14:02:12  failed: {hostile}"
    log = add(add(old, "tried_again", {"attempt": 2}), "failed", {"error": f"「{hostile}」"})
    run = TrainingRunFactory(dataset=dataset, head=head, log=log, finished_at=head.created_at)
    pages = {
        "models": reverse("models", args=["parts"]),
        "head": reverse("head", args=["parts", head.version]),
        "log": reverse("run-log", args=["parts", run.pk]),
    }
    for language, again, failed in (
        ("en", "Tried again: attempt 2.", "The run failed: "),
        ("ja", "再試行します（2 回目）。", "学習に失敗しました"),
    ):
        for url in pages.values():
            text = client(viewer, language).get(url).content.decode()
            assert hostile not in text, "the text is escaped"
            unescaped = html.unescape(text)
            assert old in unescaped and again in unescaped
            assert failed in unescaped and f"「{hostile}」" in unescaped
            assert '"code"' not in unescaped
    assert client(UserFactory(username="stranger"), "ja").get(pages["log"]).status_code == 404
