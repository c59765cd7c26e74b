"""The audits of a stream: which images are audited, and the e-process over their answers."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verification.certificates.stream import StreamMonitor, stream_audits

DIGESTS = [sha256(str(n).encode()).hexdigest() for n in range(4000)]


def test_share_of_audited_images_is_as_chosen() -> None:
    """Each image is audited with this probability, independently: the number is binomial."""
    for share in (0.02, 0.3, 1.0):
        chosen = sum(stream_audits(bytes(range(32)), DIGESTS, share))
        spread = 5 * (len(DIGESTS) * share * (1 - share)) ** 0.5
        assert abs(chosen - len(DIGESTS) * share) <= spread


def test_choice_depends_on_seed_and_image_alone() -> None:
    first = stream_audits(b"a" * 32, DIGESTS[:200], 0.5)
    assert stream_audits(b"a" * 32, reversed(DIGESTS[:200]), 0.5) == first[::-1]
    assert stream_audits(b"b" * 32, DIGESTS[:200], 0.5) != first
    # A larger share audits the same images and further ones.
    more = stream_audits(b"a" * 32, DIGESTS[:200], 0.7)
    assert all(new or not old for old, new in zip(first, more))


@pytest.mark.parametrize("share", [0, -0.1, 1.1, 0.00001])
def test_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError):
        stream_audits(bytes(32), DIGESTS[:1], share)


@given(st.lists(st.booleans(), max_size=60))
def test_evidence_is_positive_and_the_alarm_is_final(errors: list[bool]) -> None:
    state, alarms = StreamMonitor(0.02, 0.05), []
    for wrong in errors:
        state = state.update(wrong)
        alarms.append(state.alarm)
        assert state.evidence > 0 and state.audits == len(alarms)
        assert 0 <= state.since <= state.audits
    assert alarms == sorted(alarms)
    if state.alarm:
        assert any(errors)
