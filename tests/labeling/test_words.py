"""Words for prompts: the glossary, phrases, templates of datasets, and warnings."""

from collections import Counter

import pytest
from django.utils import translation

from mekiki.labeling.prompt_warnings import has_negation, is_bare_word, text_warnings, trial_warnings
from mekiki.labeling.starters import starters
from mekiki.labeling.text import MAX_PROMPT, checked_guideline, checked_name, checked_prompts
from mekiki.labeling.words import PHRASES, concepts, fill_phrases, find_concepts, names_of
from mekiki.labeling.words.glossary import CONTEXTS, GROUPS


def is_japanese(text: str) -> bool:
    return any("\u3040" <= c <= "\u30ff" or "\u4e00" <= c <= "\u9fff" for c in text)


def test_glossary_has_every_concept_once_in_both_languages() -> None:
    known = concepts()
    assert len(known) >= 150 and set(CONTEXTS) == set(GROUPS) == {concept.group for concept in known}
    assert all(n == 1 for n in Counter(concept.key for concept in known).values())
    for language in ("en", "ja"):
        wordings = Counter(wording for concept in known for wording in concept.wordings(language))
        assert [wording for wording, n in wordings.items() if n > 1] == []
    for concept in known:
        assert all(wording.isascii() for wording in concept.en), concept
        assert all(is_japanese(wording) for wording in concept.ja), concept
        for language in ("en", "ja"):
            assert not any(has_negation(sentence) for _w, sentence in concept.sentences(language)), concept


@pytest.mark.parametrize(
    ("name", "prompts", "expected"),
    [
        ("scratches", [], "scratch"),
        ("傷", [], "scratch"),
        ("打痕", [], "dent"),
        ("rolled-in_scale", [], "rolled_in_scale"),
        ("NG-1", ["a photo of a casting with a blowhole"], "blowhole"),
        ("NG-2", ["バリがある部品の写真"], "burr"),
    ],
)
def test_terms_are_found_by_the_name_or_the_prompts_of_a_label(
    name: str, prompts: list[str], expected: str
) -> None:
    assert find_concepts(name, prompts)[0].key == expected
    assert find_concepts("xyz", []) == []


def test_phrases_come_in_the_language_of_the_reader_first() -> None:
    for group in PHRASES:
        assert all(text.isascii() for text in group.en) and all(map(is_japanese, group.ja))
    names = names_of("打痕")
    assert names == {"en": "a dent", "ja": "打痕"} and names_of("dents")["ja"] == "打痕"
    assert names_of("NG-1") == {"en": "NG-1"}
    filled = {group.key: texts for group, texts in fill_phrases(names, "ja")}
    assert filled["material"][0] == "打痕がある金属表面の写真"
    assert filled["material"][5] == "a photo of a metal surface with a dent"
    alone = {group.key: texts for group, texts in fill_phrases({"en": "NG-1"}, "ja")}
    assert "滑らかで均一な表面" in alone["contrast"] and not any("{" in t for t in alone["material"])
    assert find_concepts("圧延スケール", [])[0].key == "rolled_in_scale"
    assert "thin_paint" not in {concept.key for concept in find_concepts("圧延スケール", [])}


def test_templates_of_datasets_have_sound_labels_in_both_languages() -> None:
    assert len(starters()) == 8
    for one in starters():
        assert one.title.en and is_japanese(one.title.ja) and one.description.en and one.description.ja
        for label in one.labels:
            assert is_japanese(label.name.ja) and is_japanese(label.guideline.ja)
            for language in ("en", "ja"):
                assert checked_name(label.name.text(language)) and label.guideline.text(language)
                checked_guideline(label.guideline.text(language), "x")
                texts = checked_prompts(list(label.prompts[language]), "x")
                assert len(texts) == len(label.prompts[language]) >= 2
                assert all(is_japanese(text) == (language == "ja") for text in texts)
        for language in ("en", "ja"):
            texts = {n: [*label.prompts["en"], *label.prompts["ja"]] for n, label in enumerate(one.labels)}
            names = {n: label.name.text(language) for n, label in enumerate(one.labels)}
            assert len(set(names.values())) == len(names)
            assert text_warnings(texts, {}, names) == [], one.key


@pytest.mark.parametrize(
    "text",
    [
        "a metal surface without a scratch", "no scratch", "not damaged", "a defect-free part",
        "free of rust", "傷のない金属表面", "傷なし", "傷ではない部品", "汚れがありません", "無傷の部品",
        "傷以外の写真",
    ],
)  # fmt: skip
def test_negations_are_recognised(text: str) -> None:
    assert has_negation(text)


@pytest.mark.parametrize(
    "text",
    ["a notch in a knot", "a normal part", "a photo of nothing but noise", "傷が少ない表面", "内側の面"],
)
def test_other_words_are_no_negations(text: str) -> None:
    assert not has_negation(text)


def test_warnings_name_the_prompt_and_what_to_do() -> None:
    texts = {1: ["a scratch on steel", "scratch"], 2: ["A Scratch on Steel", "no scratch on it"]}
    names = {1: "scratch", 2: "good"}
    written = {1: ["a scratch on steel", "a scratch on  steel", "scratch"]}
    found = text_warnings(texts, written, names)
    assert [(one.code, one.labels) for one in found] == [
        ("repeated", (1,)), ("bare_word", (1,)), ("same_prompt", (1, 2)), ("negation", (2,)),
    ]  # fmt: skip
    result = {
        "labels": [1, 2, 3], "images": 100, "context": 20,
        "pairs": [[1, 2, 0.99, 70, 0.1], [1, 3, 0.9, 20, 3.0]],
        "prompts": {
            "1": [{"best": 90, "tokens": 25}, {"best": 5, "tokens": 5}],
            "2": [{"best": 5, "tokens": 5}, {"best": 0, "tokens": 5}],
        },
    }  # fmt: skip
    measured = trial_warnings(result, texts, names)
    assert [(one.code, one.labels) for one in measured] == [
        ("nearly_same", (1, 2)), ("too_long", (1,)), ("attracts", (1,)),
    ]  # fmt: skip
    for language in ("en", "ja"):
        with translation.override(language):
            for warning in [*found, *measured]:
                assert warning.sentence and "%(" not in warning.sentence
    assert "90%" in measured[-1].sentence
    assert is_bare_word("傷") and not is_bare_word("傷のある部品") and MAX_PROMPT
