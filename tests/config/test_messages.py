"""The registry of messages: codes, values, languages, and what happens to values that do not fit."""

from collections.abc import Iterator

import pytest
from django.utils import translation

from mekiki.config.messages import Messages, gettext_noop, ngettext_noop, when


@pytest.fixture
def messages() -> Iterator[Messages]:
    yield Messages("of this test")
    del Messages.all["of this test"]


def test_code_and_registry_cannot_be_registered_twice(messages: Messages) -> None:
    messages.add("a", "One.")
    with pytest.raises(ValueError, match="'a' is registered twice"):
        messages.add("a", "Another.")
    with pytest.raises(ValueError, match="exists already"):
        Messages("of this test")


def test_value_without_a_place_in_a_sentence_is_refused(messages: Messages) -> None:
    with pytest.raises(ValueError, match=r"no sentence of 'a' has \['size'\]"):
        messages.add("a", "%(count)s files", size=str)
    with pytest.raises(ValueError, match=r"has \['size'\]"):
        messages.add("a", when("n", "%(n)s files", size=str))


def test_sentences_are_translated_and_their_values_formatted(messages: Messages) -> None:
    messages.add(
        "heads",
        ngettext_noop("%(n)d head", "%(n)d heads", "heads"),
        when("audited", "(%(share)s of %(heads)s)", share=("audited", lambda value: f"{value:.0%}")),
        n="heads",
        heads=ngettext_noop("%(n)d head", "%(n)d heads"),
    )
    assert messages.needs("heads") == {"heads", "audited"}
    assert messages.render("heads", {"heads": 1}) == "1 head"
    assert messages.sentences("heads", {"heads": 2, "audited": 0.5}) == ["2 heads", "(50% of 2 heads)"]
    with translation.override("ja"):
        assert messages.render("heads", {"heads": 2}) == "判定モデル 2 個"
        assert messages.render("heads", {"heads": 2}, english=True) == "2 heads"


def test_message_that_cannot_be_rendered_is_shown_as_code_and_values(messages: Messages) -> None:
    messages.add("count", "%(n)d of %(total)d")
    messages.add("heads", ngettext_noop("%(n)d head", "%(n)d heads"))
    messages.add("name", "“%(name)s”", name=str.upper)
    assert messages.render("unknown", {"a": 1, "b": "あ"}) == 'unknown (a=1, b="あ")'
    assert messages.render("unknown") == "unknown"
    assert messages.render("count", {"n": 1}) == "count (n=1)"
    assert messages.render("count", {"n": "x", "total": 2}) == 'count (n="x", total=2)'
    assert messages.render("count", {"n": [1], "total": 2}) == "count (n=[1], total=2)"
    assert messages.render("heads", {"n": "two"}) == 'heads (n="two")'
    assert messages.render("name", {"name": None}) == "name (name=null)"


def test_values_other_than_json_scalars_are_refused(messages: Messages) -> None:
    messages.add("failed", "%(error)s after %(n)s", error=lambda texts: texts["en"])
    messages.check("failed", {"error": {"en": "No prompt."}, "n": 3})
    messages.check("unknown", {"a": None, "b": True, "c": 1.5, "d": "text"})
    for value in ([1], {"a": 1}, b"bytes", object(), float("nan"), float("inf")):
        with pytest.raises(TypeError, match="'n' of 'failed' is no JSON scalar"):
            messages.check("failed", {"n": value})
        with pytest.raises(TypeError):
            messages.check("unknown", {"n": value})


def test_missing_values_and_format_characters_are_rendered() -> None:
    messages = Messages("of a test", missing="?", marked=("why",), default=lambda value: f"<{value}>")
    try:
        messages.add("bad", gettext_noop("The file cannot be read: %(why)s."))
        assert messages.render("bad") == "The file cannot be read: ?."
        assert messages.render("bad", {"why": "%(x)s %d %%"}) == "The file cannot be read: <%(x)s %d %%>."
        with translation.override("ja"):
            assert "<存在しません>" in messages.render("bad", {"why": "it does not exist"})
    finally:
        del Messages.all["of a test"]


def test_japanese_sentences_are_joined_without_a_space(messages: Messages) -> None:
    messages.add("two", "%(a)s", "%(b)s")
    assert messages.render("two", {"a": "One.", "b": "Two."}) == "One. Two."
    assert messages.render("two", {"a": "一。", "b": "二。"}) == "一。二。"
