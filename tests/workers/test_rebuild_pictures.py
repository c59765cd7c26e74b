"""Pictures and vectors are created again after a change of a window, and no old pixels remain."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.test import Client
from PIL import Image as Pillow

from mekiki.datasets import services, storage
from mekiki.datasets.models import Dataset, Image, PixelWindow
from mekiki.datasets.selectors import images_to_rebuild
from mekiki.jobs.models import InHand, Job, Kind, State
from mekiki.learning.models import Embedding, Prediction
from tests.imaging.files import tiff
from tests.roles import set_fixed
from workers.runner import run_job

Work = Callable[..., dict[str, Any]]


def deep_tiff(number: int) -> bytes:
    rng = np.random.default_rng(number)
    return tiff(rng.integers(0, 900, (32, 32)).astype(np.uint16))


@pytest.fixture
def deep_dataset(coloured: Dataset, work: Work) -> Dataset:
    """Create a dataset of 30 pictures of 8 bits and 4 deep ones, embedded and predicted."""
    admin = coloured.memberships.get().user
    batch = services.start_upload(dataset=coloured, user=admin)
    for number in range(4):
        services.add_file(
            batch=batch, user=admin, name=f"deep-{number}.tif", file=io.BytesIO(deep_tiff(number))
        )
    services.run_import(batch=batch, progress=lambda done, total: None)
    work(coloured, "encode")
    work(coloured, "predict")
    return coloured


def vectors() -> dict[int, list[float]]:
    return {
        e.image_id: [float(x) for x in e.vector] for e in Embedding.objects.filter(encoder__kind="image_text")
    }


def test_change_of_a_window_changes_pictures_and_vectors(deep_dataset: Dataset, work: Work) -> None:
    admin = deep_dataset.memberships.get().user
    window = PixelWindow.objects.get()
    before, predicted = vectors(), Prediction.objects.count()
    deep_ids = set(window.images.values_list("pk", flat=True))
    assert len(before) == 34 and predicted == 34
    services.change_window(window=window, user=admin, black=0, white=300)
    assert work(deep_dataset, "rebuild_pictures") == {"rebuilt": 4, "unreadable": 0, "left_out": []}
    assert set(vectors()) == set(before) - deep_ids
    assert not Prediction.objects.filter(image_id__in=deep_ids).exists()
    assert Prediction.objects.count() == 30
    image = Image.objects.get(name="deep-0.tif")
    with storage.open_picture(image) as file:
        assert (np.asarray(Pillow.open(file)) == 255).mean() > 0.5
    assert (image.rendition, image.window_version) == (1, 2)
    assert Job.objects.filter(dataset=deep_dataset, kind=Kind.ENCODE, state=State.QUEUED).exists()
    work(deep_dataset, "encode")
    work(deep_dataset, "predict")
    after = vectors()
    assert {pk for pk in after if after[pk] != before[pk]} == deep_ids
    assert Prediction.objects.count() == 34


def test_stopped_change_of_a_window_is_continued(deep_dataset: Dataset, work: Work) -> None:
    admin = deep_dataset.memberships.get().user
    window = PixelWindow.objects.get()
    services.change_window(window=window, user=admin, black=0, white=300)
    window.refresh_from_db()
    rebuilt = window.images.order_by("pk")[0]
    Image.objects.filter(pk=rebuilt.pk).update(window_version=window.version)
    assert images_to_rebuild(deep_dataset, window).count() == 3
    assert work(deep_dataset, "rebuild_pictures")["rebuilt"] == 3
    services.resume_window_change(window=window, user=admin)
    assert work(deep_dataset, "rebuild_pictures")["rebuilt"] == 0


def test_window_is_estimated_again_from_all_images(deep_dataset: Dataset, work: Work) -> None:
    admin = deep_dataset.memberships.get().user
    window = PixelWindow.objects.get()
    services.change_window(window=window, user=admin, black=3, white=7)
    work(deep_dataset, "rebuild_pictures")
    services.estimate_window_again(window=window, user=admin)
    assert work(deep_dataset, "rebuild_pictures")["rebuilt"] == 4
    window.refresh_from_db()
    assert (window.black, window.white, window.estimated_from) == (0, 1023, 4)


def test_pictures_of_earlier_versions_are_rebuilt(deep_dataset: Dataset, work: Work) -> None:
    admin = deep_dataset.memberships.get().user
    Image.objects.filter(window__isnull=False).update(has_display=None, window=None)
    PixelWindow.objects.all().delete()
    assert images_to_rebuild(deep_dataset, None).count() == 34
    lost = Image.objects.get(name="deep-3.tif")
    from django.core.files.storage import default_storage

    default_storage.delete(storage.original_name(deep_dataset.pk, lost.sha256))
    services.rebuild_old_pictures(dataset=deep_dataset, user=admin)
    result = work(deep_dataset, "rebuild_pictures")
    assert result == {
        "rebuilt": 33,
        "unreadable": 1,
        "left_out": [{"image": lost.pk, "code": "original_lost"}],
    }
    assert Image.objects.filter(has_display=True).count() == 3
    assert Image.objects.filter(window=PixelWindow.objects.get()).count() == 3
    assert list(images_to_rebuild(deep_dataset, None)) == [lost]


def test_rebuild_for_a_missing_window_fails(deep_dataset: Dataset, work: Work) -> None:
    from workers.errors import StageError

    with pytest.raises(StageError):
        work(deep_dataset, "rebuild_pictures", window=999_999)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_an_image_that_kills_the_worker_is_named_on_the_page_of_activity(
    deep_dataset: Dataset, language: str
) -> None:
    admin = deep_dataset.memberships.get().user
    poison, other = Image.objects.get(name="deep-2.tif"), Image.objects.get(name="deep-3.tif")
    set_fixed(poison, audit_key=0.99)
    set_fixed(other, audit_key=0)  # of the reserve: its name stays hidden
    job = services.rebuild_old_pictures(dataset=deep_dataset, user=admin)
    InHand.objects.create(scope=f"rebuild {deep_dataset.pk}", set_aside=[str(poison.pk), str(other.pk)])
    Image.objects.filter(window__isnull=False).update(has_display=None)
    assert run_job(str(job.pk)) == "succeeded"
    browser = Client()
    browser.force_login(admin)
    browser.cookies["django_language"] = language
    page = browser.get(f"/d/{deep_dataset.slug}/activity/").content.decode()
    words = "several times, while it read this image" if language == "en" else "この画像の読み込み中に"
    assert page.count(words) == 2 and "deep-2.tif" in page
    assert "deep-3.tif" not in page and other.sha256[:8] in page
