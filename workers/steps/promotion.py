"""Decision whether a new head replaces the head in use. It uses only figures, no database.

The cross-validated log-loss of a challenger on the reviewed labels must not be worse than that of the prompts
alone at their best temperature. Once 30 images are audited, the challenger must not be significantly worse
than the champion on them (McNemar's exact test on the images where exactly one of the two is right,
one-sided, 5 %).
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
class PromotionDecision:
    """The decision whether to promote, and its reason: {"code": …, values for its sentence}."""

    promote: bool
    reason: dict[str, Any]


@dataclass(frozen=True)
class AuditComparison:
    """Both heads on the same audited images.

    `p` is the probability of at least as many losses if the two heads were equally good.
    """

    n: int
    champion_right: int
    challenger_right: int
    only_champion: int
    only_challenger: int

    @property
    def p(self) -> float:
        return sign_test(self.only_champion, self.only_champion + self.only_challenger)

    def facts(self) -> dict[str, Any]:
        """Return the comparison as values of a reason."""
        return {
            "audited": self.n,
            "champion_right": self.champion_right,
            "challenger_right": self.challenger_right,
            "only_champion": self.only_champion,
            "only_challenger": self.only_challenger,
            "p": round(self.p, 6),
        }


def sign_test(k: int, n: int) -> float:
    """Return P(at least k of n) for a fair coin, exactly; 1 for n = 0.

    Raises ValueError unless 0 ≤ k ≤ n.
    """
    if not 0 <= k <= n:
        raise ValueError(f"need 0 <= k <= n, got k={k}, n={n}")
    return sum(math.comb(n, i) for i in range(k, n + 1)) / 2**n


def compare(champion: ArrayLike, challenger: ArrayLike, truth: ArrayLike) -> AuditComparison:
    """Compare the label ids (m,) that each head predicts with the true label ids (m,)."""
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
    """Return the mean log-loss (nats) of the prompts alone on labels y (n,), at their best calibration.

    X (n, d), text (L, d). The best calibration favours the prompts, so a better head is really better.
    """
    logits = logit_scale * (np.asarray(X, np.float64) @ np.asarray(text, np.float64).T)
    log_proba = fit_calibration(logits, y).observed_log_proba(logits)
    return float(-log_proba[np.arange(len(y)), y].mean())


def decide_promotion(
    *,
    labels: int,
    log_loss: float | None,
    prompts: float,
    audit: AuditComparison | None,
    schema_changed: bool,
) -> PromotionDecision:
    """Decide by the rule of this module.

    `labels` is the number of labels the challenger was trained on. `log_loss` is its cross-validated
    log-loss, or None if there are too few labels: the prior by the prompts then decides, and the head is
    used. `audit` is None before the first audited image. `schema_changed` means that the champion has other
    labels, so it cannot stay.
    """
    facts: dict[str, Any] = {"labels": labels, "prompts_log_loss": prompts}
    if log_loss is not None:
        facts["log_loss"] = log_loss
    if audit is not None:
        facts |= audit.facts()
    if schema_changed:
        return PromotionDecision(True, {**facts, "code": "labels_changed"})
    if log_loss is not None and log_loss > prompts:
        return PromotionDecision(False, {**facts, "code": "worse_than_prompts"})
    if (
        audit is not None
        and audit.n >= MIN_AUDITED
        and audit.only_champion > audit.only_challenger
        and audit.p < SIGNIFICANCE
    ):
        return PromotionDecision(False, {**facts, "code": "worse_on_audit"})
    return PromotionDecision(
        True, {**facts, "code": "few_labels" if log_loss is None else "better_than_prompts"}
    )
