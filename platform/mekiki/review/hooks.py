"""Functions that higher apps register: what follows an answer of a stream, and who set labels."""

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset, Image
from mekiki.review.models import QueueItem

AnswerHook = Callable[[QueueItem, User], None]
SettledImages = Callable[[Dataset], set[int]]
Choices = Callable[[Dataset], list[tuple[str, object]]]
Narrow = Callable[[QuerySet[Image], Dataset, str], QuerySet[Image]]
_AFTER_ANSWER: dict[str, AnswerHook] = {}
_SETTLED: list[SettledImages] = []
_LABEL_SOURCES: list[tuple[Choices, Narrow]] = []


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


def register_label_sources(choices: Choices, narrow: Narrow) -> None:
    """Register the filter of images by who set the label. Called when an app is ready.

    choices: the values and names of the sources in a dataset. narrow: the images of one source.
    """
    _LABEL_SOURCES.append((choices, narrow))


def label_source_choices(dataset: Dataset) -> list[tuple[str, object]]:
    """Return the sources of labels in a dataset, by all registered functions."""
    return [choice for choices, _narrow in _LABEL_SOURCES for choice in choices(dataset)]


def images_with_label_set_by(images: QuerySet[Any], dataset: Dataset, source: str) -> QuerySet[Any]:
    """Return the images whose label was set by a source, by all registered functions."""
    for _choices, narrow in _LABEL_SOURCES:
        images = narrow(images, dataset, source)
    return images
