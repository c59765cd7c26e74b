"""Rules for which state occurs on which subject and finish, and the pairs that training never draws."""

from .faults import BUILT_IN_SUBJECTS
from .finishes import METAL_FINISHES, finishes_of
from .printing import carries_print

_METAL = frozenset(METAL_FINISHES)
_COATED = _METAL | {"painted"}
_SOFT = frozenset({"fabric"})
# Finishes on which a state occurs. A state that is not a key occurs on all of them.
_FINISHES: dict[str, frozenset[str]] = {
    "scratch": _COATED | {"ceramic", "wood", "glass", "plastic", "resist"},
    "crack": _COATED | {"ceramic", "wood", "glass", "plastic", "resist"},
    "crazing": _COATED | {"ceramic", "glass"},
    "dent": _COATED | {"plastic", "wood"},
    "chip": _COATED | {"ceramic", "glass", "plastic", "resist"},
    "hole": _COATED | {"fabric", "wood", "plastic", "ceramic"},
    "rust": _COATED,
    "inclusion": _COATED | {"glass", "ceramic"},
    "scale": frozenset({"rolled", "cast"}),
    "pits": _COATED | {"ceramic"},
    "patches": _COATED,
    "burr": _COATED | {"plastic"},
    "fray": _SOFT,
}
# Subjects on which a state occurs, in addition to the rule for finishes.
_SUBJECTS: dict[str, frozenset[str]] = {
    "crazing": frozenset({"surface", "tile"}),
    "inclusion": frozenset({"surface", "tile"}),
    "scale": frozenset({"surface"}),
    "patches": frozenset({"surface"}),
    "fray": frozenset({"surface"}),
    **BUILT_IN_SUBJECTS,
}
_NEVER = frozenset(
    {("board", "burr"), ("tile", "burr"), ("surface", "burr"), ("casting", "hole"), ("tile", "hole")}
)

# Pairs of subject and state that training never draws; the evaluation measures them.
HELD_OUT = frozenset(
    {
        ("washer", "crack"),
        ("washer", "dent"),
        ("nut", "rust"),
        ("nut", "scratch"),
        ("bolt", "stain"),
        ("gear", "scratch"),
        ("gear", "hole"),
        ("bearing", "stain"),
        ("bearing", "pits"),
        ("cap", "crack"),
        ("cap", "chip"),
        ("bracket", "dent"),
        ("bracket", "rust"),
        ("shaft", "chip"),
        ("shaft", "hole"),
        ("board", "stain"),
        ("board", "scratch"),
        ("connector", "crack"),
        ("connector", "burr"),
        ("casting", "scratch"),
        ("casting", "rust"),
        ("casting", "dent"),
        ("tile", "stain"),
        ("tile", "chip"),
        ("tile", "pits"),
        ("tile", "missing"),
        ("bracket", "wrong"),
        ("bracket", "misprint"),
    }
)


def _occurs(subject: str, state: str, finish: str) -> bool:
    if state == "good":
        return True
    if finish not in _FINISHES.get(state, (finish,)) or subject not in _SUBJECTS.get(state, (subject,)):
        return False
    if (subject, state) in _NEVER:
        return False
    if state == "misprint":
        return carries_print(subject, finish)
    if state == "blowhole":
        return finish == "cast" or subject == "casting"
    if state == "uneven":
        return subject in ("surface", "tile") or finish == "painted"
    if state == "chip" and subject == "surface":  # a flake in the middle: only in brittle materials
        return finish in ("ceramic", "glass")
    return True


def possible(subject: str, state: str, finish: str | None = None) -> bool:
    """Return whether a state can occur on a subject, with the given finish or with any.

    For example, there is no burr without an edge. With a finish, also checks that the subject has this
    finish.
    """
    finishes = finishes_of(subject)
    if finish is not None:
        return finish in finishes and _occurs(subject, state, finish)
    return any(_occurs(subject, state, one) for one in finishes)
