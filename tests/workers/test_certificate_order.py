"""Ranks and audit order as arrays agree with the rules that a verifier uses."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verification.certificates.order import audit_order
from verification.certificates.regions import candidate_order, is_candidate
from workers.steps.certificate_order import audit_positions, rank_candidates

SHARES = st.sampled_from([0.0, 0.1, 0.5, 0.5000001, 0.9, 1.0])
IMAGES = st.lists(st.tuples(st.binary(min_size=32, max_size=32), SHARES, SHARES, st.booleans()), max_size=30)


@given(IMAGES, st.none() | SHARES)
def test_ranks_follow_the_rules_of_the_verifier(
    rows: list[tuple[bytes, float, float, bool]], bound: float | None
) -> None:
    rows = sorted({row[0]: row for row in rows}.values())
    confidence, risk, critical = (np.array([row[at] for row in rows], kind) for at, kind in KINDS)
    order = candidate_order(
        confidence.tolist(),
        [row[0].hex() for row in rows],
        [is_candidate(row[3], row[2], bound) for row in rows],
    )
    rank = rank_candidates(confidence, critical, risk, bound)
    assert [order.index(i) + 1 if i in order else 0 for i in range(len(rows))] == rank.tolist()


KINDS = ((1, np.float64), (2, np.float64), (3, np.bool_))


@given(
    st.binary(min_size=32, max_size=32), st.sets(st.binary(min_size=32, max_size=32), max_size=30).map(sorted)
)
def test_audit_positions_follow_the_rules_of_the_verifier(key: bytes, digests: list[bytes]) -> None:
    positions = audit_positions(key, np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32))
    order = audit_order(key, [digest.hex() for digest in digests])
    assert [order.index(i) + 1 for i in range(len(digests))] == positions.tolist()


def test_bad_values_are_refused() -> None:
    no, zero = np.zeros(1, np.bool_), np.zeros(1)
    with pytest.raises(ValueError, match="not a number"):
        rank_candidates(np.array([math.nan]), no, zero, None)
    assert rank_candidates(np.array([math.nan]), ~no, zero, None).tolist() == [0]
    with pytest.raises(ValueError, match="twice"):
        audit_positions(bytes(32), np.zeros((2, 32), np.uint8))
    with pytest.raises(ValueError, match="32 bytes"):
        audit_positions(bytes(31), np.zeros((1, 32), np.uint8))
