"""Captions as a person on the shop floor might type them, in English or Japanese.

A caption comes with its *claim*: the facts of the picture that it states. A caption is true of every picture
that meets its claim, not only of the picture it was written for. The training loss uses this.
"""

from dataclasses import dataclass

import numpy as np

from .finishes import METAL_FINISHES
from .scene import FINISH_NAMES, STATES, SUBJECTS, TONE_NAMES, Spec
from .words import ADJECTIVE, FINISH, SENTENCE_FRAMES, STATE, STATE_ALONE, SUBJECT, SURFACE_OF, TONE

LANGUAGES = ("en", "ja")
UNSTATED = -1  # the claim does not state this fact
ANY_DEFECT = -2
ANY_PART = -3
ANY_METAL = -4
# finishes for which "metal surface" is true: paint lies on metal
_METAL = frozenset((*METAL_FINISHES, "painted"))
_METAL_INDICES = sorted(FINISH_NAMES.index(name) for name in _METAL)


@dataclass(frozen=True)
class Caption:
    """A caption with its language and claim.

    ``claim`` holds indices into SUBJECTS, FINISH_NAMES, TONE_NAMES and STATES, or one of the codes above.
    """

    text: str
    language: str
    claim: tuple[int, int, int, int]


def facts(spec: Spec) -> tuple[int, int, int, int]:
    """Return the same four indices for what a picture shows."""
    return (
        SUBJECTS.index(spec.subject),
        FINISH_NAMES.index(spec.finish),
        TONE_NAMES.index(spec.tone),
        STATES.index(spec.state),
    )


def claims_hold(claims: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return (p, c) bool from (c, 4) claims and (p, 4) facts: is the caption true of the picture?"""
    claimed, seen = claims[None, :, :], shown[:, None, :]
    met = (claimed == UNSTATED) | (claimed == seen)
    met[..., 0] |= (claimed[..., 0] == ANY_PART) & (seen[..., 0] != SUBJECTS.index("surface"))
    met[..., 1] |= (claimed[..., 1] == ANY_METAL) & np.isin(seen[..., 1], _METAL_INDICES)
    met[..., 3] |= (claimed[..., 3] == ANY_DEFECT) & (seen[..., 3] != STATES.index("good"))
    return met.all(axis=2)


def _pick(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]


def _article(noun: str) -> str:
    bare = noun.split()[0]
    if bare in ("a", "an", "no", "some", "many", "nothing") or noun.endswith("s"):
        return noun
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _english(rng: np.random.Generator, noun: str, traits: list[str], state: str) -> str:
    adjectives = " ".join(traits)
    thing = f"{adjectives} {noun}".strip()
    if not state:
        phrase = _article(thing)
    elif rng.random() < 0.35:
        phrase = _article(f"{_pick(rng, ADJECTIVE['en'][state])} {thing}")
    else:
        flaw = _pick(rng, STATE["en"][state])
        link = _pick(
            rng,
            (
                "{0} with {1}",
                "{0} with {1}",
                "{1} on {0}",
                "{1} on the {2}",
                "{2}, {1}",
                "{0} showing {1}",
                "{1} in {0}",
            ),
        )
        if state == "good":
            link = _pick(rng, ("{0} with {1}", "{2}, {1}", "{0} showing {1}"))
        phrase = link.format(_article(thing), _article(flaw) if rng.random() < 0.4 else flaw, thing)
    return _pick(rng, SENTENCE_FRAMES["en"]).format(phrase)


def _japanese(rng: np.random.Generator, noun: str, traits: list[str], state: str) -> str:
    thing = "".join(traits) + noun
    if not state:
        phrase = thing
    elif rng.random() < 0.4:
        phrase = _pick(rng, ADJECTIVE["ja"][state]) + thing
    else:
        flaw = _pick(rng, STATE["ja"][state])
        if state == "good":
            phrase = _pick(rng, ("{1}の{0}", "{0}、{1}", "{0}({1})")).format(thing, flaw)
        else:
            link = (
                "{1}のある{0}",
                "{0}の{1}",
                "{0}にある{1}",
                "{1}がある{0}",
                "{0}に{1}",
                "{1}の入った{0}",
                "{0}、{1}",
            )
            phrase = _pick(rng, link).format(thing, flaw)
    return _pick(rng, SENTENCE_FRAMES["ja"]).format(phrase)


def _nouns(rng: np.random.Generator, spec: Spec, language: str) -> tuple[tuple[str, ...], int, int]:
    """Return nouns for the object, and what they claim about the subject and the finish."""
    words, subject, finish = SUBJECT[language], SUBJECTS.index(spec.subject), FINISH_NAMES.index(spec.finish)
    if rng.random() < 0.2:
        if spec.subject != "surface" and rng.random() < 0.7:
            return words["any part"], ANY_PART, UNSTATED
        return words["any"], UNSTATED, UNSTATED
    if spec.subject != "surface":
        return words[spec.subject], subject, UNSTATED
    if spec.finish in SURFACE_OF[language] and rng.random() < 0.6:
        return SURFACE_OF[language][spec.finish], subject, finish
    if spec.finish in _METAL and rng.random() < 0.8:
        return words["surface"], subject, ANY_METAL
    return words["any surface"], subject, UNSTATED


def caption(rng: np.random.Generator, spec: Spec, language: str | None = None) -> Caption:
    """Return one true caption of a picture, worded at random.

    Raises KeyError if the language is not `en` or `ja`.
    """
    language = language or LANGUAGES[int(rng.integers(2))]
    _subject, finish, tone, state = facts(spec)
    word = "good" if spec.state == "good" else spec.state
    state_claim = state
    if spec.state != "good" and rng.random() < 0.1:
        word, state_claim = "defective", ANY_DEFECT
    style = rng.random()
    if style < 0.22:  # only the name of the state
        options = STATE_ALONE[language].get(word) or STATE[language][word]
        if word not in STATE_ALONE[language] and rng.random() < 0.25:
            options = ADJECTIVE[language][word]
            if language == "ja":
                options = tuple(option.removesuffix("の").removesuffix("な") for option in options)
        text = (
            _pick(rng, SENTENCE_FRAMES[language]).format(_pick(rng, options))
            if rng.random() < 0.5
            else _pick(rng, options)
        )
        return Caption(text, language, (UNSTATED, UNSTATED, UNSTATED, state_claim))
    nouns, subject_claim, finish_claim = _nouns(rng, spec, language)
    noun = _pick(rng, nouns)
    traits: list[str] = []
    tone_claim = UNSTATED
    if rng.random() < 0.2:
        traits.append(_pick(rng, TONE[language][spec.tone]))
        tone_claim = tone
    if finish_claim != finish and rng.random() < 0.25:
        traits.append(_pick(rng, FINISH[language][spec.finish]))
        finish_claim = finish
    if style > 0.88:
        word, state_claim = "", UNSTATED
    build = _english if language == "en" else _japanese
    return Caption(
        build(rng, noun, traits, word), language, (subject_claim, finish_claim, tone_claim, state_claim)
    )
