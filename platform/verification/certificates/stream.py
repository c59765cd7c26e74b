"""Watch images accepted after a certificate: an e-process for “the error rate is at most α”.

For an alternative rate q > α and an audit x (1: wrong) the factor is g = (q/α)^x ((1−q)/(1−α))^(1−x), whose
expectation is at most 1 while the probability of an error is at most α given the past. The process averages
over the alternatives and over the audit s at which the rate rose, with weights 1/(s (s + 1)):

    E_t = 1/(t + 1) + Σ_q v_q A_t(q) ,     A_t(q) = (A_{t−1}(q) + 1/(t (t + 1))) · g_t(q)

So a long good period does not delay the alarm much. P(E ever reaches 1/δ) ≤ δ (Ville's inequality).
An accepted image is audited if HMAC-SHA-256(seed, image SHA-256), read as a number below 2^256, is below
share · 2^256. So the audited images are an independent random part, and anybody with the seed finds the same.
Sources: Shin, Ramdas and Rinaldo, "E-detectors", arXiv 2203.03532; Waudby-Smith and Ramdas, arXiv 2010.09686.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from verification.certificates.order import audit_keys

SHARE_STEPS = 10_000  # shares of audited images are multiples of 0.01 %
# Alternatives: the rate is α + f · (1 − α); the same weight for each.
_SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


def stream_audits(seed: bytes, digests: Iterable[str], share: float) -> list[bool]:
    """Return for each accepted image of a stream whether it is audited.

    digests: hexadecimal SHA-256 of the images. share: the probability of an audit, in steps of 0.01 %.
    ValueError: the seed or a digest has not 32 bytes, or the share lies outside (0, 1].
    """
    steps = round(share * SHARE_STEPS)
    if not 0 < steps <= SHARE_STEPS:
        raise ValueError(f"the share must lie in (0, 1], got {share}")
    bound = steps << 256
    return [int.from_bytes(key) * SHARE_STEPS < bound for key in audit_keys(seed, digests)]


@dataclass(frozen=True)
class StreamMonitor:
    """The state after `audits` audits of a stream; immutable, of a few numbers, so it is stored as columns.

    evidence: E_t. since: the audit, counted from 1, from which on the rate most probably is above α; 0 while
    nothing speaks for it. Images accepted before that audit are the last good checkpoint.
    """

    alpha: float
    delta: float
    audits: int = 0
    evidence: float = 1.0
    since: int = 0
    alarm: bool = False  # the evidence once reached 1/δ
    started: tuple[float, ...] = (0.0,) * len(_SHARES)  # A_t(q)
    rises: tuple[float, ...] = (0.0,) * len(_SHARES)  # CUSUM of log g for each q, for `since`
    rises_since: tuple[int, ...] = (0,) * len(_SHARES)

    def __post_init__(self) -> None:
        if not (0 < self.alpha < 1 and 0 < self.delta < 1):
            raise ValueError("alpha and delta must lie strictly between 0 and 1")

    def update(self, wrong: bool) -> StreamMonitor:
        """Return the state after one more audit. An open answer counts as wrong until it is resolved."""
        t = self.audits + 1
        capital = 1 / (t * (t + 1))
        started, rises, since = [], [], []
        for share, value, rise, begun in zip(
            _SHARES, self.started, self.rises, self.rises_since, strict=True
        ):
            rate = self.alpha + share * (1 - self.alpha)
            factor = rate / self.alpha if wrong else (1 - rate) / (1 - self.alpha)
            started.append((value + capital) * factor)
            grown = rise + math.log(factor)
            rises.append(max(0.0, grown))
            since.append(0 if grown <= 0 else begun or t)
        evidence = 1 / (t + 1) + math.fsum(started) / len(started)
        best = max(range(len(rises)), key=rises.__getitem__)
        return replace(
            self,
            audits=t,
            evidence=evidence,
            since=since[best],
            alarm=self.alarm or evidence >= 1 / self.delta,
            started=tuple(started),
            rises=tuple(rises),
            rises_since=tuple(since),
        )

    def extend(self, errors: Iterable[bool]) -> StreamMonitor:
        """Return the state after several audits, in the order in which their images were accepted."""
        state = self
        for wrong in errors:
            state = state.update(wrong)
        return state
