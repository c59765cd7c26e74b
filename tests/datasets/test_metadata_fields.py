"""Fields of metadata: guessed at import, changed by admins, and used as facets of the gallery."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from mekiki.accounts.models import User
from mekiki.audit.models import Event
from mekiki.datasets import services
from mekiki.datasets.importing import filling
from mekiki.datasets.models import Dataset, Image, ImportBatch, MetadataField, MetadataValue
from mekiki.datasets.services import metadata_fields
from mekiki.jobs.models import Job, Kind
from mekiki.jobs.services import claim
from mekiki.review import metadata_filters
from mekiki.review import services as review
from mekiki.review.errors import InvalidAnswerError
from tests.datasets.helpers import Files, lines, picture
from tests.roles import set_fixed
from workers.runner import Report
from workers.stages import type_metadata

Upload = Callable[[Files], ImportBatch]
N = 24


def table(*numbers: int, temperature: str = "") -> bytes:
    """Return a table of images: the temperature of image n is 20 + n / 2, and that of image 7 is missing."""
    rows = ["file,line,temperature,taken,lot"]
    for n in numbers:
        degrees = temperature or ("n/a" if n == 7 else f"{20 + n / 2}")
        rows.append(f"{n}.png,{n % 3},{degrees},2026-11-{n + 1:02d} 08:00,{n:04d}")
    return "\n".join(rows).encode()


def types(dataset: Dataset) -> dict[str, str]:
    return dict(MetadataField.objects.filter(dataset=dataset).values_list("key", "type"))


class Gallery:
    """The gallery of a dataset for one user."""

    def __init__(self, dataset: Dataset, user: User) -> None:
        self.dataset, self.client = dataset, Client(headers={"accept-language": "en"})
        self.client.force_login(user)

    def numbers(self, **query: Any) -> list[int]:
        """Return the numbers of the images that match, in ascending order."""
        reply = self.client.get(reverse("images", args=[self.dataset.slug]), query)
        assert reply.status_code == 200
        return sorted(int(image.name.partition(".")[0]) for image in reply.context["images"])

    def facet(self, title: str, **query: Any) -> Any:
        reply = self.client.get(reverse("image-facets", args=[self.dataset.slug]), query)
        (facet,) = [one for one in reply.context["facets"].facets if one.title == title]
        return facet


def ranges(**values: str) -> dict[str, str]:
    """Return filters: from_temperature="20" is the parameter from.temperature."""
    return {name.replace("_", ".", 1): value for name, value in values.items()}


@pytest.mark.django_db
def test_types_are_guessed_at_import_and_facets_follow(
    upload: Upload, dataset: Dataset, admin: User, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = upload({f"{n}.png": picture(n) for n in range(N)} | {"metadata.csv": table(*range(N))})
    assert types(dataset) == {"line": "choice", "temperature": "number", "taken": "date", "lot": "text"}
    assert lines(batch, "noted") == {"temperature": "metadata_no_number"}
    assert MetadataValue.objects.filter(field__dataset=dataset).count() == 2 * N
    gallery = Gallery(dataset, admin)
    warm = ranges(from_temperature="22", to_temperature="24.5")
    assert gallery.numbers(**warm) == [4, 5, 6, 8, 9]
    assert gallery.numbers(**ranges(from_taken="2026-11-03", to_taken="2026-11-05")) == [2, 3, 4]
    assert gallery.numbers(**warm, metadata="line=2") == [5, 8]
    assert gallery.numbers(**ranges(unfit_temperature="1")) == [7]
    monkeypatch.setattr(metadata_filters, "FEW", 1)  # the other form of the query
    assert gallery.numbers(**warm) == [4, 5, 6, 8, 9]
    # A value that is no number is marked, and the other filters apply.
    assert gallery.numbers(**ranges(from_temperature="warm"), metadata="line=2") == list(range(2, N, 3))
    # Facets: the range within all other filters, the texts that do not fit, and lists of the other types.
    facet = gallery.facet("temperature", **warm, metadata="line=1")
    assert (facet.range.least, facet.range.greatest) == ("20.5", "31")
    assert (facet.range.low, facet.range.high, facet.range.count.n) == ("22", "24.5", 7)
    assert [(value.name, value.count.n) for value in facet.values] == [("texts that are no number", 1)]
    taken = gallery.facet("taken").range
    assert (taken.is_date, taken.least, taken.greatest) == (True, "2026-11-01", "2026-11-24")
    assert [(value.name, value.count.n) for value in gallery.facet("line").values] == [
        ("0", 8), ("1", 8), ("2", 8),
    ]  # fmt: skip
    assert gallery.facet("lot").more
    page = gallery.client.get(reverse("image-facets", args=[dataset.slug]), warm | {"q": "png"})
    text = page.content.decode()
    assert 'name="from.temperature"' in text and '<input type="hidden" name="q" value="png">' in text
    # Without scripts, the form of all filters has the ranges.
    page = gallery.client.get(reverse("images", args=[dataset.slug]), warm)
    assert 'name="from.taken"' in page.content.decode() and 'value="24.5"' in page.content.decode()
    # An image of the audit reserve hides its values.
    Dataset.objects.filter(pk=dataset.pk).update(audit_fraction=0.2)
    for image in dataset.images.all():
        set_fixed(image, audit_key=0.1 if image.name in {"0.png", "7.png"} else 0.5)
    facet = gallery.facet("temperature")
    assert (facet.range.least, facet.range.count.n, facet.values) == ("20.5", 22, [])
    assert gallery.numbers(**ranges(to_temperature="21")) == [1, 2]
    fields = reverse("metadata-fields", args=[dataset.slug])
    assert "n/a" not in gallery.client.get(fields).content.decode()
    Dataset.objects.filter(pk=dataset.pk).update(audit_fraction=0)
    # The page shows the texts that do not fit. Admins change a type, in words of an event.
    page = gallery.client.get(fields).content.decode()
    assert "“n/a”" in page and "guessed from 24 values" in page and "unfit.temperature=1" in page
    by_key = {field.key: field for field in MetadataField.objects.filter(dataset=dataset)}
    change = {f"type-{by_key['lot'].pk}": "number", f"type-{by_key['temperature'].pk}": "text"}
    assert Gallery(dataset, reviewer).client.post(fields, change).status_code == 403
    gallery.client.post(fields, change)
    assert types(dataset) == {"line": "choice", "temperature": "text", "taken": "date", "lot": "number"}
    assert gallery.numbers(**ranges(from_lot="22")) == [22, 23]
    assert gallery.numbers(**ranges(from_temperature="22")) == list(range(N))  # no such filter any more
    event = Event.objects.filter(kind="metadata_field.changed").latest("pk")
    assert event.data == {"name": "temperature", "before": "number", "after": "text"}
    assert (
        "temperature: number → text"
        in gallery.client.get(reverse("activity", args=[dataset.slug])).content.decode()
    )
    for wrong in ({f"type-{by_key['lot'].pk}": "money"}, {f"type-{by_key['lot'].pk}": ""}):
        assert "There is no such type" in gallery.client.post(fields, wrong, follow=True).content.decode()
    with pytest.raises(ValidationError):
        services.set_metadata_type(field=by_key["lot"], user=admin, type="\0")
    # The next import keeps the types that an admin has chosen, and writes the values of changed images too.
    again = upload({"30.png": picture(30), "metadata.csv": table(3, 30, temperature="5")})
    assert types(dataset)["temperature"] == "text"
    assert lines(again, "noted") == {"taken": "metadata_no_date"}  # 31 November
    assert gallery.numbers(**ranges(unfit_taken="1")) == [30]
    assert gallery.numbers(**ranges(from_lot="30")) == [30]
    by_key["temperature"].refresh_from_db()
    services.set_metadata_type(field=by_key["temperature"], user=admin, type="number")
    assert gallery.numbers(**ranges(to_temperature="19")) == [3, 30]


@pytest.mark.django_db
def test_large_datasets_are_read_by_a_job_and_incomplete_fields_are_no_filter(
    upload: Upload, dataset: Dataset, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload({f"{n}.png": picture(n) for n in range(4)})
    # Metadata of an earlier version has no fields. A key may be a number, have spaces, or a point.
    for image in dataset.images.all():
        n = int(image.name[0])
        Image.objects.filter(pk=image.pk).update(metadata={"5": f"{n}.5", "a b.c": f"lot {n}"})
    gallery = Gallery(dataset, admin)
    fields = reverse("metadata-fields", args=[dataset.slug])
    monkeypatch.setattr(metadata_fields, "AT_ONCE", 3)
    monkeypatch.setattr(filling, "STEP", 3)
    assert (
        "read in the background" in gallery.client.post(fields, {"read": "1"}, follow=True).content.decode()
    )
    job = claim(str(Job.objects.get(kind=Kind.TYPE_METADATA).pk))
    assert job is not None and types(dataset) == {} and job.created_by == admin

    def run() -> None:
        assert type_metadata.run(job, Report(job)) == {"fields": 2}

    run()
    assert types(dataset) == {"5": "number", "a b.c": "text"}
    assert gallery.numbers(**ranges(from_5="1", to_5="2.5")) == [1, 2]
    view = review.save_view(dataset=dataset, user=admin, name="v", query="from.5=1")
    field = MetadataField.objects.get(key="a b.c")
    services.set_metadata_type(field=field, user=admin, type="date")
    assert "from.a b.c" not in gallery.client.get(fields).content.decode()
    assert "The values are being read" in gallery.client.get(fields).content.decode()
    assert gallery.numbers(**{"from.a b.c": "2026-01-01"}) == [0, 1, 2, 3]
    for query in ("from.a%20b.c=2026-01-01", "from.nothing=1", "unfit.5=2"):
        with pytest.raises(InvalidAnswerError):
            review.save_view(dataset=dataset, user=admin, name="w", query=query)
    run()
    assert gallery.numbers(**{"unfit.a b.c": "1"}) == [0, 1, 2, 3]
    # A view whose field lost its type acts on no image.
    services.set_metadata_type(field=MetadataField.objects.get(key="5"), user=admin, type="text")
    with pytest.raises(InvalidAnswerError):
        review.start_bulk_act(dataset=dataset, user=admin, act="queue", images=review.ImageChoice(view=view))
    # Programs.
    services.set_metadata_type(field=MetadataField.objects.get(key="5"), user=admin, type="number")
    run()
    address = reverse("api:image-facet-counts", args=[dataset.slug])
    reply = gallery.client.get(address, {"range": ["5=1..", "a b.c=unfit"]}).json()
    assert reply["matches"]["n"] == 3
    (five,) = [one for one in reply["facets"] if one["code"] == "range-5"]
    assert five["range"] == {
        "is_date": False, "least": "0.5", "greatest": "3.5", "low": "1", "high": "", "exact": True,
        "count": {"n": 4, "exact": True, "few": False},
    }  # fmt: skip
    for wrong in ("5", "5=1", "=1..2", "line=1..2", "5=a..b", "5=nan..", "a b.c=1..", "5=..", "\0=1.."):
        assert gallery.client.get(address, {"range": wrong}).status_code == 422, wrong
