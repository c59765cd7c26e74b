"""Numbers of images: exact where counting is fast, otherwise estimated from a sample and marked as estimated.

The sample are the images whose SHA-256 begins with a small number. The hash of a file does not depend on its
label, its metadata or its time, so these images are a random sample, and the index of the hashes finds them.
"""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from mekiki.datasets.models import Dataset
from mekiki.datasets.quotas import dataset_usage
from mekiki.learning.models import Head
from mekiki.review.blinding import unshown_condition
from mekiki.review.finding import filter_images, uses_hidden_facts

# Up to this number of images in a dataset, all counts are exact.
EXACT_UP_TO = 50_000
# Up to this number of matching images, the counts of a larger dataset are exact too.
EXACT_MATCHES = 10_000
# Number of images in the sample, of all images of the dataset.
SAMPLE = 10_000
# An estimate from fewer images of the sample than this is shown as "few".
LEAST_SAMPLED = 10
# Values of the first four digits of a hash.
_PREFIXES = 16**4


@dataclass(frozen=True)
class Count:
    """A number of images.

    few: estimated, and so small that the sample gives no number. `n` is then 0.
    """

    n: int
    exact: bool = True
    few: bool = False


class Base:
    """The images that match some filters, or a random sample of them."""

    def __init__(self, images: QuerySet[Any], factor: float) -> None:
        self.images, self.factor = images, factor

    def count(self, n: int) -> Count:
        """Return the count for a number of images of this base."""
        if self.factor == 1.0:
            return Count(n)
        if n < LEAST_SAMPLED:
            return Count(0, exact=False, few=True)
        return Count(_two_digits(n * self.factor), exact=False)


def _two_digits(value: float) -> int:
    size = 10 ** max(0, len(str(int(value))) - 2)
    return int(round(value / size) * size)


class Counter:
    """Counts the images of a dataset that match filters of finding.FilterForm."""

    def __init__(self, dataset: Dataset, head: Head | None) -> None:
        self.dataset, self.head = dataset, head
        self.total = dataset_usage(dataset)["images"]
        self._hidden = unshown_condition(dataset)
        self._bases: dict[Any, Base] = {}

    def base(self, asked: dict[str, Any], *, visible: bool) -> Base:
        """Return the images that match the filters.

        visible: leave out the images that hide their facts (review.blinding). They are also left out if a
        filter uses such a fact.
        """
        asked = {name: value for name, value in asked.items() if name != "sort"}
        key = (repr(sorted(asked.items())), visible or uses_hidden_facts(asked))
        if key not in self._bases:
            self._bases[key] = self._create_base(asked, visible)
        return self._bases[key]

    def _create_base(self, asked: dict[str, Any], visible: bool) -> Base:
        images = filter_images(self.dataset, self.head, asked).order_by()
        if visible and not uses_hidden_facts(asked):
            images = images.filter(~self._hidden)
        if self.total <= EXACT_UP_TO:
            return Base(images, 1.0)
        if asked:
            ids = list(images.values_list("pk", flat=True)[: EXACT_MATCHES + 1])
            if len(ids) <= EXACT_MATCHES:
                return Base(self._listed(ids), 1.0)
        prefixes = max(1, min(_PREFIXES - 1, round(_PREFIXES * SAMPLE / self.total)))
        sampled = images.filter(sha256__lt=f"{prefixes:04x}").values_list("pk", flat=True)
        return Base(self._listed(list(sampled)), _PREFIXES / prefixes)

    def _listed(self, ids: list[int]) -> QuerySet[Any]:
        """Return images by their ids, so that the filters are not compared again for each facet."""
        return filter_images(self.dataset, self.head, {}).order_by().filter(pk__in=ids)

    def count(self, asked: dict[str, Any]) -> Count:
        """Return the number of images that the gallery shows for these filters."""
        if not asked:
            return Count(self.total)
        base = self.base(asked, visible=False)
        return base.count(base.images.count())
