"""The protocol of a certificate: the statement and its test, fixed before the seed is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WATCHED, PLANNED = "watched", "planned"
TESTS = (WATCHED, PLANNED)
LEVELS = (0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 1.0)
# The levels of a certificate that was planned: one of them is the first, and all larger ones follow.
PLAN_LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 1.0)

# label: the predicted label. metadata: key=value, as the metadata of the image holds it.
SCOPE_KEYS = ("label", "metadata")


def split_metadata(text: str) -> tuple[str, str]:
    """Return key and value of a filter written as key=value. ValueError: a part of it is missing."""
    key, _sign, value = (part.strip() for part in text.partition("="))
    if not key or not value:
        raise ValueError("a filter of metadata is written as key=value")
    return key, value


@dataclass(frozen=True)
class Protocol:
    """The statement of a certificate.

    alpha: the largest share of wrong labels among those set by machine. delta: 1 − confidence, of the whole
    certificate. limit: the largest number of candidates whose label people set before the labels are
    accepted, audits included; also the number of audits of a planned test. levels: shares of the candidates
    that the nested regions hold; the smallest is tested first. critical_bound: images with a larger
    probability for a critical label are no candidates. delta_critical: the part of delta that is spent on
    the bound of critical images missed; 0 without that bound. alpha_by_label: predicted label → its own
    alpha, in addition to the common one. scope: the filter that the images of the pool pass, by SCOPE_KEYS;
    empty without a filter. It enters the JSON form only if it is not empty, so that the digests of protocols
    without a filter stay the same.

    ValueError: a value outside its range.
    """

    alpha: float
    delta: float
    limit: int
    levels: tuple[float, ...] = LEVELS
    test: str = WATCHED
    critical_bound: float | None = None
    delta_critical: float = 0.0
    alpha_by_label: Mapping[str, float] = field(default_factory=dict)
    scope: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(0 <= rate < 1 for rate in (self.alpha, *self.alpha_by_label.values())):
            raise ValueError("alpha must lie in [0, 1)")
        if not 0 <= self.delta_critical < self.delta < 1:
            raise ValueError("need 0 <= delta_critical < delta < 1")
        if self.limit < 1:
            raise ValueError("limit must be at least 1")
        if not self.levels or not all(0 < level <= 1 for level in self.levels):
            raise ValueError("levels must lie in (0, 1]")
        if list(self.levels) != sorted(set(self.levels)):
            raise ValueError("levels must ascend")
        if self.test not in TESTS:
            raise ValueError(f"unknown test {self.test!r}")
        if not set(self.scope) <= set(SCOPE_KEYS):
            raise ValueError(f"the scope has keys other than {SCOPE_KEYS}")
        if not all(isinstance(value, str) and value for value in self.scope.values()):
            raise ValueError("the values of the scope must be texts")
        if "metadata" in self.scope:
            split_metadata(self.scope["metadata"])

    @property
    def delta_errors(self) -> float:
        """The part of delta that the test of the error rate uses."""
        return self.delta - self.delta_critical

    def as_json(self) -> dict[str, Any]:
        """Return the protocol as JSON values, the form that is recorded and exported."""
        return {
            "alpha": self.alpha,
            "delta": self.delta,
            "limit": self.limit,
            "levels": list(self.levels),
            "test": self.test,
            "critical_bound": self.critical_bound,
            "delta_critical": self.delta_critical,
            "alpha_by_label": dict(self.alpha_by_label),
            **({"scope": dict(self.scope)} if self.scope else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Protocol":
        """Return the protocol from its JSON form. KeyError, TypeError, ValueError: not such a form."""
        return cls(**{**value, "levels": tuple(value["levels"])})
