"""The offline verifier settles the label of an audited image by the same rule as the platform."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mekiki.labeling.models import Label
from mekiki.review.models import Decision, QueueItem
from mekiki.review.services.confirmed import blind_answer
from verification.certificates.answers import Answer, settled_label

ANSWERS = st.lists(
    st.tuples(
        st.integers(1, 4),  # reviewer
        st.integers(1, 3),  # label
        st.booleans(),  # late
        st.sampled_from([False, False, False, True]),  # ruling
    ),
    max_size=8,
)


def decision(number: int, item: QueueItem, given: tuple[int, int, bool, bool]) -> Decision:
    reviewer, label, late, ruling = given
    row: Any = Decision(
        pk=number,
        item=item,
        user_id=reviewer,
        label=Label(pk=label),
        late=late,
        kind=Decision.Kind.RULE if ruling else Decision.Kind.CORRECT,
    )
    row.created_at = datetime(2026, 1, 1, tzinfo=UTC)
    row._state.fields_cache["superseded_by"] = None
    return row


@given(answers=ANSWERS, wanted=st.integers(1, 3))
@settings(max_examples=500, deadline=None)
def test_both_rules_settle_the_same_label(answers: list[tuple[int, int, bool, bool]], wanted: int) -> None:
    item = QueueItem(pk=1, overlap=wanted)
    rows = [decision(number, item, one) for number, one in enumerate(answers, 1)]
    expected = blind_answer(rows)
    offline = settled_label([Answer(number, *one) for number, one in enumerate(answers, 1)], wanted)
    assert offline == (expected[0].pk if expected is not None else None)
