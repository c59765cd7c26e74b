"""Every failure of an encoder is reported in the reader's language."""

import string

import pytest
from django.utils import translation

from workers.encoders.errors import ENCODER_CODES, EncoderError
from workers.messages import ENCODER_PROBLEMS, encoder_problem
from workers.runner import explain


def test_every_code_has_a_sentence_and_no_sentence_is_left_over() -> None:
    assert set(ENCODER_PROBLEMS) == set(ENCODER_CODES)


@pytest.mark.parametrize("code", sorted(ENCODER_CODES))
def test_sentences_use_only_what_comes_with_their_code(code: str) -> None:
    known = {word.strip("(),:;") for word in ENCODER_CODES[code].split()}
    assert ENCODER_PROBLEMS.needs(code) <= known
    assert ENCODER_PROBLEMS.render(code, english=True).endswith(".")


@pytest.mark.parametrize("code", sorted(ENCODER_CODES))
def test_japanese_says_it_in_japanese_with_the_same_details(code: str) -> None:
    details = {
        "name": "NAME",
        "reason": "REASON",
        "file": "FILE",
        "folder": "FOLDER",
        "host": "HOST",
        "near": "NEAR",
    }
    error = EncoderError("English words", code, **details)
    with translation.override("ja"):
        said, retry = explain(error)
    assert not retry
    assert any(ord(letter) > 0x3000 for letter in said)
    assert said.endswith("。")
    with translation.override("en"):
        english, _retry = explain(error)
    for value in details.values():
        assert (value in english) == (value in said)
    assert not set(string.Template.delimiter) & set(said)


def test_a_code_from_a_later_version_speaks_for_itself() -> None:
    assert (
        encoder_problem(EncoderError("The moon is in the wrong place.", "moon"))
        == "The moon is in the wrong place."
    )


def test_missing_details_do_not_break_the_sentence() -> None:
    for code in ENCODER_CODES:
        said = encoder_problem(EncoderError("x", code))
        assert "%(" not in said
        assert said
