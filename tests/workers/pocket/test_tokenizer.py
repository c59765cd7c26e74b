"""Any text in any language can be encoded and decoded."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workers.pocket.tokenizer import CONTEXT, PAD, PocketTokenizer, normalise

TOKENIZER = PocketTokenizer.load()


@given(st.text(max_size=120))
def test_any_unicode_text_is_decoded_in_normalised_form(text: str) -> None:
    ids = TOKENIZER.ids(text)
    assert TOKENIZER.decode(ids) == normalise(text)
    assert max(ids) == ids[-1] == TOKENIZER.end
    assert PAD not in ids


def test_text_that_looks_like_a_special_token_is_text() -> None:
    assert TOKENIZER.decode(TOKENIZER.ids("a<pad><pad>b")) == "a<pad><pad>b"
    assert PAD not in TOKENIZER.ids("<pad>")


def test_lone_surrogates_become_question_marks() -> None:
    assert TOKENIZER.decode(TOKENIZER.ids("a\ud800b")) == "a?b"


def test_half_width_katakana_and_capitals_are_the_same_words() -> None:
    assert TOKENIZER.ids("ｷｽﾞ") == TOKENIZER.ids("キズ")
    assert TOKENIZER.ids("CRACK") == TOKENIZER.ids("crack")


def test_common_words_need_few_tokens_and_only_the_table_cuts_texts() -> None:
    assert len(TOKENIZER.ids("a photo of a scratched washer")) <= 12
    assert len(TOKENIZER.ids("傷のあるワッシャーの写真")) <= 12
    long = "x1 " * 200
    assert len(TOKENIZER.ids(long)) > CONTEXT
    table = TOKENIZER([long, "b"])
    assert table.shape == (2, CONTEXT)
    assert table[0, -1] == TOKENIZER.end
    assert (table[1] == TOKENIZER.end).sum() == 1
    assert TOKENIZER(["b"], full=False).shape == (1, len(TOKENIZER.ids("b")))
    assert TOKENIZER.vocab_size == int(np.max(table)) + 1
