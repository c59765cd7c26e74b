"""Words of a report: the scale of Landis & Koch."""

import pytest

from mekiki.quality.report_parts import landis_koch_word


@pytest.mark.parametrize(
    ("kappa", "word"),
    [
        (None, "–"), (-0.1, "poor"), (-1e-17, "slight"), (0, "slight"), (0.2, "slight"), (0.21, "fair"),
        (0.4, "fair"), (0.41, "moderate"), (0.61, "substantial"), (0.8, "substantial"),
        (0.81, "almost perfect"), (1, "almost perfect"),
    ],
)  # fmt: skip
def test_the_word_of_a_kappa_follows_the_scale_of_landis_and_koch(kappa: float | None, word: str) -> None:
    assert landis_koch_word(kappa) == word
