"""Whether a new head replaces the one in use. Rules and figures, no database.

A challenger must explain the reviewed labels, cross-validated, no worse than the prompts alone do at their
own best temperature. Once 30 images are audited it must not be significantly worse than the champion on them
(McNemar's exact test on the images where just one of the two is right, one-sided, 5 %).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workers.heads.calibration import fit_calibration

MIN_AUDITED = 30
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Verdict:
    """Whether to promote, and why: {"code": …, the values its sentence needs}."""

    promote: bool
    reason: dict[str, Any]


@dataclass(frozen=True)
class AuditComparison:
    """Both heads on the same audited images. p: chance of so many losses if the two were equally good."""

    n: int
    champion_right: int
    challenger_right: int
    only_champion: int
    only_challenger: int

    @property
    def p(self) -> float:
        return sign_test(self.only_champion, self.only_champion + self.only_challenger)

    def facts(self) -> dict[str, Any]:
        """As values of a reason."""
        return {
            "audited": self.n,
            "champion_right": self.champion_right,
            "challenger_right": self.challenger_right,
            "only_champion": self.only_champion,
            "only_challenger": self.only_challenger,
            "p": round(self.p, 6),
        }


def sign_test(k: int, n: int) -> float:
    """P(at least k of n) for a fair coin, exactly; 1 for n = 0. ValueError unless 0 ≤ k ≤ n."""
    if not 0 <= k <= n:
        raise ValueError(f"need 0 <= k <= n, got k={k}, n={n}")
    return sum(math.comb(n, i) for i in range(k, n + 1)) / 2**n


def compare(champion: ArrayLike, challenger: ArrayLike, truth: ArrayLike) -> AuditComparison:
    """Paired comparison: label ids (m,) said by each head, and the true ones."""
    a, b, t = np.asarray(champion), np.asarray(challenger), np.asarray(truth)
    right_a, right_b = a == t, b == t
    return AuditComparison(
        n=len(t),
        champion_right=int(right_a.sum()),
        challenger_right=int(right_b.sum()),
        only_champion=int((right_a & ~right_b).sum()),
        only_challenger=int((right_b & ~right_a).sum()),
    )


def prompts_log_loss(X: NDArray[Any], y: NDArray[np.int64], text: NDArray[Any], logit_scale: float) -> float:
    """Mean log-loss in nats of the prompts alone on labels y (n,), at the calibration that suits them best.

    X (n, d), text (L, d). The best calibration is a favour to the prompts, so beating them means something.
    """
    logits = logit_scale * (np.asarray(X, np.float64) @ np.asarray(text, np.float64).T)
    log_proba = fit_calibration(logits, y).observed_log_proba(logits)
    return float(-log_proba[np.arange(len(y)), y].mean())


def judge(
    *,
    labels: int,
    log_loss: float | None,
    prompts: float,
    audit: AuditComparison | None,
    schema_changed: bool,
) -> Verdict:
    """The rule above.

    labels: how many the challenger was trained on. log_loss: its cross-validated one; None below what can be
    cross-validated: the text prior then decides, and the head is used. audit: None before any audited image.
    schema_changed: the champion has other labels, so it cannot stay.
    """
    facts: dict[str, Any] = {"labels": labels, "prompts_log_loss": prompts}
    if log_loss is not None:
        facts["log_loss"] = log_loss
    if audit is not None:
        facts |= audit.facts()
    if schema_changed:
        return Verdict(True, {**facts, "code": "labels_changed"})
    if log_loss is not None and log_loss > prompts:
        return Verdict(False, {**facts, "code": "worse_than_prompts"})
    if (
        audit is not None
        and audit.n >= MIN_AUDITED
        and audit.only_champion > audit.only_challenger
        and audit.p < SIGNIFICANCE
    ):
        return Verdict(False, {**facts, "code": "worse_on_audit"})
    return Verdict(True, {**facts, "code": "few_labels" if log_loss is None else "better_than_prompts"})
