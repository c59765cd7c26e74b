"""The dataset's own setting decides which images are reviewed next."""

from collections.abc import Callable
from typing import Any

from mekiki.datasets.models import Acquisition
from mekiki.review.models import QueueItem
from workers.acquisition.mix import STRATEGIES

Work = Callable[..., dict[str, Any]]


def test_acquisitions_of_the_settings_equal_those_of_the_workers() -> None:
    assert set(Acquisition.values) == set(STRATEGIES)
    assert len(Acquisition.values) == len(STRATEGIES)


def test_a_refill_follows_the_setting(coloured: Any, work: Work) -> None:
    work(coloured, "encode")
    work(coloured, "predict")
    active = QueueItem.objects.filter(dataset=coloured, state=QueueItem.State.WAITING).exclude(stream="audit")
    assert {item.propensity for item in active} == {1.0}
    coloured.acquisition = "random"
    coloured.save()
    work(coloured, "refill")
    # Each image was drawn at random and stands for others. No rule made its review certain.
    assert all(0 < item.propensity < 1 for item in active.all())
    for name in ("k_center", "typiclust", "entropy"):
        coloured.acquisition = name
        coloured.save()
        assert work(coloured, "refill")["queued"] == coloured.queue_target
