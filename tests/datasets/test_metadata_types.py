"""Numbers and dates in the texts of metadata, and the guess of a field's type."""

from datetime import date

import pytest

from mekiki.datasets.metadata_types import guess_type, parse_day, parse_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12.0), (" -3.50 ", -3.5), ("+.5", 0.5), ("1e3", 1000.0), ("１２．５", 12.5), ("−4", -4.0),
        ("1,234.5", 1234.5), ("1,234,567", 1234567.0), ("007", 7.0),
        ("", None), ("1,5", None), ("1,234", None), ("1.2.3", None), ("n/a", None), ("nan", None),
        ("inf", None), ("1e999", None), ("0x10", None), ("1_000", None), ("12 mm", None), ("٣", None),
    ],
)  # fmt: skip
def test_numbers_are_read_and_ambiguous_texts_are_not(text: str, number: float | None) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-11-01", date(2026, 11, 1)), ("2026/11/1", date(2026, 11, 1)), ("2026.1.2", date(2026, 1, 2)),
        ("20261101", date(2026, 11, 1)), ("2026年11月1日", date(2026, 11, 1)),
        ("２０２６－１１－０１", date(2026, 11, 1)), ("2026-11-01 23:59:59", date(2026, 11, 1)),
        ("2026-11-01T23:59:59+09:00", date(2026, 11, 1)), ("2026年11月1日8時5分", date(2026, 11, 1)),
        ("2026-02-29", None), ("2028-02-29", date(2028, 2, 29)), ("2026-13-01", None), ("03/04/2026", None),
        ("0001-01-01", None), ("2026-11/01", None), ("20261101123", None), ("today", None), ("", None),
    ],
)  # fmt: skip
def test_days_are_read_in_one_order_only(text: str, day: date | None) -> None:
    assert parse_day(text) == day


@pytest.mark.parametrize(
    ("texts", "type"),
    [
        ([], "text"),
        (["3"] * 10 + ["4"] * 10, "choice"),  # the number of a line
        (["20.1", "20.2"] * 20, "number"),
        ([str(n) for n in range(50)], "number"),
        ([str(n) for n in range(46)] + ["n/a"] * 4, "number"),
        ([str(n) for n in range(40)] + ["n/a"] * 10, "text"),
        ([f"{n:05d}" for n in range(50)], "text"),  # zeros at the beginning: an identifier
        ([f"2026-11-{n:02d}" for n in range(1, 29)], "date"),
        ([f"202611{n:02d}" for n in range(1, 29)], "date"),
        ([f"lot {n}" for n in range(50)], "text"),
        (["day", "night"] * 2, "choice"),
        (["day", "night"], "text"),  # too few
    ],
)
def test_types_are_guessed_from_the_values(texts: list[str], type: str) -> None:
    assert guess_type(texts) == type
