"""Functions that higher apps register: what follows an answer of a stream, and images that need no review."""

from collections.abc import Callable

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset
from mekiki.review.models import QueueItem

AnswerHook = Callable[[QueueItem, User], None]
SettledImages = Callable[[Dataset], set[int]]
_AFTER_ANSWER: dict[str, AnswerHook] = {}
_SETTLED: list[SettledImages] = []


def register_answer_hook(stream: str, act: AnswerHook) -> None:
    """Register a function to call after an answer or an undo on an item of a stream, after the commit.

    Called by an app when it is ready.
    """
    _AFTER_ANSWER[str(stream)] = act


def run_answer_hook(item: QueueItem, user: User) -> None:
    """Call the function that is registered for the stream of the item, if there is one."""
    act = _AFTER_ANSWER.get(str(item.stream))
    if act is not None:
        act(item, user)


def register_settled_images(images: SettledImages) -> None:
    """Register a function that returns the ids of images that need no answer. Called when an app is ready."""
    _SETTLED.append(images)


def settled_image_ids(dataset: Dataset) -> set[int]:
    """Return the ids of images that need no answer of a reviewer, by all registered functions."""
    return set().union(*(images(dataset) for images in _SETTLED))
