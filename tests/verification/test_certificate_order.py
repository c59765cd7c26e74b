"""The audit order: committed, reproducible in Python and SQL, and uniform over seeds."""

import hashlib
import hmac
import random
from collections import Counter

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from verification.certificates.order import (
    SQL_AUDIT_KEY,
    audit_keys,
    audit_order,
    commitment,
    order_key,
    padded_keys,
)
from verification.certificates.regions import candidate_order, is_candidate, region_sizes

SEEDS = st.binary(min_size=32, max_size=32)
DIGESTS = st.lists(st.binary(min_size=32, max_size=32).map(bytes.hex), unique=True, max_size=30)


def digest(number: int) -> str:
    return hashlib.sha256(number.to_bytes(8, "big")).hexdigest()


@given(SEEDS, DIGESTS)
def test_keys_are_hmac_sha256_of_the_bytes_of_the_digest(seed: bytes, digests: list[str]) -> None:
    keys = audit_keys(seed, digests)
    assert keys == [hmac.digest(seed, bytes.fromhex(d), "sha256") for d in digests]
    order = audit_order(seed, digests)
    assert sorted(order) == list(range(len(digests)))
    assert [keys[i] for i in order] == sorted(keys)


def test_known_values() -> None:
    """Values computed by other programs: openssl dgst -sha256 -mac HMAC, sha256sum."""
    seed = bytes(range(32))
    assert commitment(seed).hex() == "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd"
    assert audit_keys(seed, ["00" * 32])[0].hex() == hmac.new(seed, bytes(32), "sha256").hexdigest()


def test_words_change_the_key_and_are_normalised() -> None:
    seed = bytes(32)
    assert order_key(seed) == order_key(seed, "  ") == seed
    assert order_key(seed, "が 4 2 6\n") == order_key(seed, "か\u3099 4 2 6") != seed
    assert order_key(seed, "4 2 6") != order_key(seed, "4 2 5")
    assert commitment(seed) == hashlib.sha256(seed).digest()


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33)])
def test_seeds_of_another_length_are_refused(seed: bytes) -> None:
    for call in (commitment, order_key, padded_keys, lambda s: audit_keys(s, [])):
        with pytest.raises(ValueError, match="32 bytes"):
            call(seed)


def test_bad_digests_are_refused() -> None:
    for digests in (["ab"], ["x" * 64], [""]):
        with pytest.raises(ValueError):
            audit_order(bytes(32), digests)
    with pytest.raises(ValueError, match="twice"):
        audit_order(bytes(32), [digest(1), digest(2), digest(1)])


@pytest.mark.django_db
def test_sql_gives_the_same_order() -> None:
    """PostgreSQL computes HMAC with its own sha256(); the embedded server has no pgcrypto."""
    key = order_key(random.Random(5).randbytes(32), "3 1 6")
    digests = [digest(i) for i in range(300)]
    inner, outer = padded_keys(key)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT number, {SQL_AUDIT_KEY.format(column='digest')} AS key"
            " FROM unnest(%(digests)s::text[]) WITH ORDINALITY AS image(digest, number) ORDER BY key",
            {"digests": digests, "inner": inner, "outer": outer},
        )
        rows = cursor.fetchall()
    assert [number - 1 for number, _key in rows] == audit_order(key, digests)
    assert [bytes(k) for _number, k in rows] == sorted(audit_keys(key, digests))


def test_the_order_is_uniform_over_seeds() -> None:
    """All 120 orders of five images occur equally often, by chi-square over 12,000 seeds."""
    digests = [digest(i) for i in range(5)]
    source = random.Random(20)
    counts = Counter(tuple(audit_order(source.randbytes(32), digests)) for _ in range(12_000))
    assert len(counts) == 120
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_membership_in_the_first_audits_is_uniform() -> None:
    digests = [digest(i) for i in range(50)]
    source = random.Random(21)
    drawn = Counter(i for _ in range(2000) for i in audit_order(source.randbytes(32), digests)[:10])
    assert stats.chisquare([drawn[i] for i in range(50)]).pvalue > 1e-4


@given(st.lists(st.tuples(st.sampled_from([0.2, 0.9, 1.0]), st.booleans()), max_size=30))
def test_candidates_are_ordered_by_confidence_and_digest(rows: list[tuple[float, bool]]) -> None:
    digests = [digest(i) for i in range(len(rows))]
    order = candidate_order([c for c, _ in rows], digests, [m for _, m in rows])
    assert sorted(order) == [i for i, (_, member) in enumerate(rows) if member]
    keys = [(-rows[i][0], digests[i]) for i in order]
    assert keys == sorted(keys)


def test_a_confidence_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        candidate_order([float("nan")], [digest(0)], [True])
    assert candidate_order([float("nan")], [digest(0)], [False]) == []
    with pytest.raises(ValueError, match="length"):
        candidate_order([0.1], [], [True])


@given(st.integers(0, 5000), st.lists(st.floats(0.0001, 1), min_size=1, max_size=8))
def test_regions_are_nested_and_not_larger_than_their_level(candidates: int, levels: list[float]) -> None:
    sizes = region_sizes(candidates, levels)
    assert sizes == sorted(set(sizes)) and all(0 < size <= candidates for size in sizes)
    if 1.0 in levels and candidates:
        assert sizes[-1] == candidates


def test_levels_are_not_rounded_in_binary() -> None:
    assert region_sizes(100, [0.29, 0.57]) == [29, 57]  # 0.29 * 100 is 28.999…
    for level in (0.0, 1.01, -1.0):
        with pytest.raises(ValueError):
            region_sizes(10, [level])


def test_candidates() -> None:
    assert is_candidate(False, 0.0, 0.01) and is_candidate(False, 0.5, None)
    assert not is_candidate(True, 0.0, None)
    assert not is_candidate(False, 0.02, 0.01) and is_candidate(False, 0.01, 0.01)
