"""Every failure of an encoder is reported in the reader's language."""

import string

import pytest
from django.utils import translation

from workers.encoders.errors import ENCODER_CODES, EncoderError
from workers.messages import ENCODER_PROBLEMS, encoder_problem
from workers.runner import explain


def test_every_code_has_a_sentence_and_every_sentence_a_code() -> None:
    assert set(ENCODER_PROBLEMS) == set(ENCODER_CODES)


@pytest.mark.parametrize("code", sorted(ENCODER_CODES))
def test_sentences_use_only_the_values_of_their_code(code: str) -> None:
    known = {word.strip("(),:;") for word in ENCODER_CODES[code].split()}
    assert ENCODER_PROBLEMS.needs(code) <= known
    assert ENCODER_PROBLEMS.render(code, english=True).endswith(".")


@pytest.mark.parametrize("code", sorted(ENCODER_CODES))
def test_japanese_sentences_have_the_same_details(code: str) -> None:
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
        japanese, retry = explain(error)
    assert not retry
    assert any(ord(letter) > 0x3000 for letter in japanese)
    assert japanese.endswith("。")
    with translation.override("en"):
        english, _retry = explain(error)
    for value in details.values():
        assert (value in english) == (value in japanese)
    assert not set(string.Template.delimiter) & set(japanese)


def test_unknown_code_is_shown_with_its_own_message() -> None:
    assert (
        encoder_problem(EncoderError("The moon is in the wrong place.", "moon"))
        == "The moon is in the wrong place."
    )


def test_missing_details_do_not_break_the_sentence() -> None:
    for code in ENCODER_CODES:
        sentence = encoder_problem(EncoderError("x", code))
        assert "%(" not in sentence
        assert sentence
