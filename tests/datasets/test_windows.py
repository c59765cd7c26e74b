"""Pixel windows: one for each camera, estimated once, and changed only by an admin.

A file's own maximum never changes a window.
"""

import io
from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from PIL import Image as Pillow

from mekiki.accounts.models import User
from mekiki.audit.models import Event
from mekiki.datasets import services, storage
from mekiki.datasets.models import Dataset, Image, ImportBatch, PixelWindow
from mekiki.datasets.options import ImportOptions
from mekiki.datasets.problems import explain
from mekiki.datasets.selectors import images_to_rebuild
from mekiki.jobs.models import Job, Kind, State
from mekiki.jobs.services import claim, succeed
from tests.datasets.helpers import Files, zipped
from tests.imaging.files import COLOUR, apng, encode, png16, tiff

Upload = Callable[[Files], ImportBatch]


def scene(number: int, spot: int = 0, hot: int = 0) -> np.ndarray:
    """Return a grey scene of 10 bits that varies in one corner, with a bright spot or a hot pixel."""
    values = np.linspace(0, 890, 16_000).astype(np.uint16).reshape(100, 160)
    values[0, :8] = number
    if spot:
        values[40:50, 40:50] = spot
    if hot:
        values[60, 60] = hot
    return values


def display_values(image: Image) -> np.ndarray:
    with storage.open_picture(image) as file:
        return np.asarray(Pillow.open(file).convert("L")).astype(int)


def codes(batch: ImportBatch) -> dict[str, str]:
    """Return the code of every line of the report by name, without duplicates."""
    return dict(batch.problems.exclude(code="duplicate").values_list("name", "code"))


def images_by_name() -> dict[str, Image]:
    return {image.name: image for image in Image.objects.select_related("window")}


def test_pictures_of_one_dataset_stay_comparable(upload: Upload) -> None:
    """A slightly brighter spot or one hot pixel does not change how the rest of the picture is displayed."""
    upload(
        {
            "a.tif": tiff(scene(1, spot=1000)),
            "b.tif": tiff(scene(2, spot=1100)),
            "c.tif": tiff(scene(3, hot=65_535)),
        }
    )
    images = images_by_name()
    a, b, c = (display_values(images[name]) for name in ("a.tif", "b.tif", "c.tif"))
    assert np.abs(a[60:, 80:] - b[60:, 80:]).max() == 0 and np.abs(a[70:] - c[70:]).max() == 0
    assert b[45, 45] > a[45, 45] > a[44, 20]
    assert c.mean() > 20
    window = PixelWindow.objects.get()
    assert (window.black, window.white, window.estimated_from) == (0, 4095, 3)
    assert {image.window for image in images.values()} == {window}


def test_the_first_images_fix_the_window(upload: Upload) -> None:
    upload({"a.tif": tiff(scene(1))})
    batch = upload({"b.tif": tiff(scene(2, spot=4000))})
    assert PixelWindow.objects.get().white == 1023
    assert codes(batch) == {"b.tif": "values_clipped"}
    text = explain("values_clipped", batch.problems.get().detail)
    assert "0.6%" in text.what and "1,023" in text.what and "settings" in text.advice
    assert batch.rejected == 0 and batch.noted == 1


def test_every_camera_has_its_own_window(upload: Upload) -> None:
    table = b"file,Camera\na.tif,left\nb.tif,right\n"
    upload({"z.zip": zipped({"a.tif": tiff(scene(1)), "b.tif": tiff(scene(2) * 4), "metadata.csv": table})})
    assert dict(PixelWindow.objects.values_list("camera", "white")) == {"left": 1023, "right": 4095}
    images = images_by_name()
    assert np.abs(display_values(images["a.tif"])[10:] - display_values(images["b.tif"])[10:]).max() <= 1


def test_types_of_values_do_not_share_a_window(upload: Upload) -> None:
    upload(
        {
            "a.tif": tiff(scene(1)),
            "b.png": png16(scene(2)),
            "c.tif": tiff(scene(3).astype(np.float32) / 100),
            "d.tif": tiff(scene(4).astype(np.int32) * 1000),
            "e.png": png16(np.repeat(scene(5)[..., None], 3, 2)),
            "f.png": encode(COLOUR, "PNG"),
        }
    )
    assert set(PixelWindow.objects.values_list("sample", flat=True)) == {"uint16", "float32", "int32"}
    images = images_by_name()
    assert images["f.png"].window is None and images["f.png"].has_display is False
    assert images["a.tif"].window == images["b.png"].window == images["e.png"].window


def test_frames_and_pages_left_out_are_reported(upload: Upload) -> None:
    frames = [Pillow.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    pages = io.BytesIO()
    with tifffile.TiffWriter(pages) as writer:
        for side in (20, 60, 40):
            writer.write(np.zeros((side, side), np.uint8) + side, photometric="minisblack")
    batch = upload(
        {
            "a.png": apng(),
            "b.gif": encode(frames[0], "GIF", save_all=True, append_images=frames[1:]),
            "c.tif": pages.getvalue(),
            "d.jpg": encode(COLOUR, "JPEG", icc_profile=b"broken" * 30),
            "e.zip": zipped({"f.webp": encode(frames[0], "WEBP", save_all=True, append_images=frames[1:])}),
        }
    )
    assert codes(batch) == {
        "a.png": "frames_left_out",
        "b.gif": "frames_left_out",
        "c.tif": "pages_left_out",
        "d.jpg": "profile_ignored",
        "e.zip/f.webp": "frames_left_out",
    }
    assert (batch.rejected, batch.partly, batch.noted, batch.added) == (0, 4, 1, 5)
    row = batch.problems.get(name="c.tif")
    assert explain(row.code, row.detail).what == "The file has 3 pages. The largest, page 2, is the image."
    assert Image.objects.get(name="c.tif").width == 60


@pytest.fixture
def pages() -> bytes:
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:
        for number in range(3):
            writer.write(scene(number), photometric="minisblack")
    return out.getvalue()


def test_every_page_becomes_an_image_on_request(dataset: Dataset, admin: User, pages: bytes) -> None:
    for _again in range(2):
        batch = services.start_upload(dataset=dataset, user=admin, options=ImportOptions(every_page=True))
        services.add_file(batch=batch, user=admin, name="parts/stack.tif", file=io.BytesIO(pages))
        services.add_file(batch=batch, user=admin, name="one.tif", file=io.BytesIO(tiff(scene(9))))
        services.finish_upload(batch=batch, user=admin)
        batch = services.run_import(batch=batch, progress=lambda done, total: None)
    assert sorted(images_by_name()) == ["one.tif", *(f"parts/stack (page {n}).tif" for n in (1, 2, 3))]
    image = images_by_name()["parts/stack (page 2).tif"]
    assert np.array_equal(tifffile.imread(io.BytesIO(storage.open_original(image).read())), scene(1))
    assert (batch.added, batch.duplicates, batch.rejected) == (0, 4, 0)


@pytest.mark.parametrize("every_page", [True, False])
def test_form_and_folder_import_pass_the_option_every_page(
    dataset: Dataset, admin: User, pages: bytes, client: Client, every_page: bool, tmp_path: object
) -> None:
    client.force_login(admin)
    data = {"every_page": "on"} if every_page else {}
    response = client.post(f"/d/{dataset.slug}/import/start", data)
    assert ImportBatch.objects.get(pk=response.json()["batch"]).every_page is every_page
    client.post(f"/d/{dataset.slug}/import/", data | {"files": io.BytesIO(pages)})
    assert ImportBatch.objects.latest("pk").every_page is every_page
    page = client.get(f"/d/{dataset.slug}/import/").content.decode()
    assert 'name="every_page"' in page
    job = services.import_folder(
        dataset=dataset, path=str(tmp_path), user=admin, options=ImportOptions(every_page=every_page)
    )
    assert ImportBatch.objects.get(pk=job.payload["batch"]).every_page is every_page


def test_a_damaged_page_does_not_stop_the_others(dataset: Dataset, admin: User, settings: object) -> None:
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:
        writer.write(scene(1), photometric="minisblack")
        writer.write(scene(2), photometric="minisblack", compression="zlib")
    data = bytearray(out.getvalue())
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        at = file.pages[1].dataoffsets[0]  # type: ignore[union-attr]
    data[at : at + 40] = b"\xff" * 40
    batch = services.start_upload(dataset=dataset, user=admin, options=ImportOptions(every_page=True))
    services.add_file(batch=batch, user=admin, name="stack.tif", file=io.BytesIO(bytes(data)))
    batch = services.run_import(batch=batch, progress=lambda done, total: None)
    assert list(images_by_name()) == ["stack (page 1).tif"]
    assert list(codes(batch)) == ["stack (page 2).tif"] and batch.rejected == 1


def test_pixel_limit_is_reported_with_its_value(upload: Upload, settings: object) -> None:
    settings.MAX_PIXELS = 15_000  # type: ignore[attr-defined]
    batch = upload({"a.tif": tiff(scene(1)), "b.png": encode(Pillow.new("1", (200, 100)), "PNG")})
    assert codes(batch) == {"a.tif": "too_many_pixels", "b.png": "too_many_pixels"}
    text = explain("too_many_pixels", batch.problems.get(name="b.png").detail)
    assert "20,000" in text.what and "15,000" in text.what and "MEKIKI_MAX_PIXELS" in text.advice


@pytest.fixture
def window(upload: Upload) -> PixelWindow:
    upload({"a.tif": tiff(scene(1)), "b.tif": tiff(scene(2))})
    return PixelWindow.objects.get()


def test_change_of_a_window_is_recorded_and_rebuilds_pictures(window: PixelWindow, admin: User) -> None:
    job = services.change_window(window=window, user=admin, black=100, white=500)
    assert job is not None and job.kind == Kind.REBUILD_PICTURES
    assert job.payload == {"window": window.pk, "estimate": False}
    event = Event.objects.get(kind="window.changed")
    assert event.data["before"] == {"black": 0, "white": 1023} and event.data["after"]["white"] == 500
    assert services.change_window(window=window, user=admin, black=100, white=500) is None
    window.refresh_from_db()
    assert (window.estimated_from, window.version) == (0, 2)


def test_values_of_an_admin_replace_an_estimate_that_waits(window: PixelWindow, admin: User) -> None:
    waiting = services.estimate_window_again(window=window, user=admin)
    services.change_window(window=window, user=admin, black=100, white=500)
    waiting.refresh_from_db()
    assert not waiting.payload["estimate"]
    services.estimate_window_again(window=window, user=admin)
    waiting.refresh_from_db()
    assert waiting.payload["estimate"] and not waiting.rerun_requested
    # A request to resume says nothing about the estimate, so the estimate still takes place.
    services.resume_window_change(window=window, user=admin)
    waiting.refresh_from_db()
    assert waiting.payload["estimate"]


def test_values_of_an_admin_replace_an_estimate_that_runs(window: PixelWindow, admin: User) -> None:
    job = claim(str(services.estimate_window_again(window=window, user=admin).pk))
    assert job is not None
    read_at_start = PixelWindow.objects.get()
    files = [tiff(scene(1)), tiff(scene(2, spot=4000))]
    services.change_window(window=window, user=admin, black=100, white=500)
    services.reestimate_window(window=read_at_start, files=files, user=admin, max_pixels=10**6)
    window.refresh_from_db()
    assert (window.black, window.white, window.version) == (100, 500, 2)
    assert (read_at_start.white, read_at_start.version) == (500, 2)
    assert Event.objects.filter(kind="window.estimated").count() == 1  # of the import
    succeed(job)
    again = Job.objects.get(kind=Kind.REBUILD_PICTURES, state=State.QUEUED)
    assert again.payload == {"window": window.pk, "estimate": False}
    services.reestimate_window(window=read_at_start, files=files, user=admin, max_pixels=10**6)
    window.refresh_from_db()
    assert (window.white, window.version, window.estimated_from) == (4095, 3, 2)


@pytest.mark.parametrize(("black", "white"), [(5, 5), (float("nan"), 1), (0, float("inf")), (0, 1e300)])
def test_invalid_values_of_a_window_are_refused(
    window: PixelWindow, admin: User, black: float, white: float
) -> None:
    with pytest.raises(ValidationError):
        services.change_window(window=window, user=admin, black=black, white=white)
    window.refresh_from_db()
    assert window.white == 1023 and not Job.objects.filter(kind=Kind.REBUILD_PICTURES).exists()


def test_only_admins_change_a_window(
    window: PixelWindow, reviewer: User, stranger: User, client: Client
) -> None:
    for user, status in ((reviewer, 403), (stranger, 404)):
        for act in (
            lambda user=user: services.change_window(window=window, user=user, black=1, white=2),
            lambda user=user: services.estimate_window_again(window=window, user=user),
            lambda user=user: services.rebuild_old_pictures(dataset=window.dataset, user=user),
            lambda user=user: services.resume_window_change(window=window, user=user),
        ):
            with pytest.raises(PermissionDenied):
                act()
        client.force_login(user)
        base = f"/d/{window.dataset.slug}/settings"
        for path in (f"/windows/{window.pk}/", f"/windows/{window.pk}/go-on/", "/pictures/"):
            assert client.post(base + path, {"agreed": "1", "black": "1", "white": "2"}).status_code == status
    assert not Job.objects.filter(kind=Kind.REBUILD_PICTURES).exists()


def test_settings_show_the_window_and_ask_before_a_change(
    window: PixelWindow, admin: User, client: Client
) -> None:
    client.force_login(admin)
    base = f"/d/{window.dataset.slug}/settings/"
    page = client.get(base).content.decode()
    assert ("uint16" in page and "1,023" in page) or "1023" in page
    address = f"{base}windows/{window.pk}/"
    assert client.get(address).status_code == 200
    confirmation = client.post(address, {"black": "10", "white": "600"}).content.decode()
    assert "Effects of the change" in confirmation and "2 images" in confirmation
    assert not Job.objects.filter(kind=Kind.REBUILD_PICTURES).exists()
    wrong = client.post(address, {"black": "10", "white": "10", "agreed": "1"}).content.decode()
    assert "different values" in wrong
    assert client.post(address, {"black": "x", "white": "", "agreed": "1"}).status_code == 200
    assert not Job.objects.filter(kind=Kind.REBUILD_PICTURES).exists()
    client.post(address, {"black": "10", "white": "600", "agreed": "1"})
    window.refresh_from_db()
    assert (window.black, window.white) == (10, 600)
    page = client.get(base).content.decode()
    assert "still shown with the previous pixel window" in page and "set by an admin" in page
    assert client.get(f"{base}windows/{window.pk + 999}/").status_code == 404
    client.post(address, {"estimate": "1", "agreed": "1"})
    assert Job.objects.filter(kind=Kind.REBUILD_PICTURES).count() == 1  # the first job is still active


def test_browser_revalidates_display_files_that_may_change(
    window: PixelWindow, admin: User, client: Client
) -> None:
    client.force_login(admin)
    image = Image.objects.filter(window=window)[0]
    address = f"/d/{window.dataset.slug}/images/{image.sha256}/"
    first = client.get(address + "display")
    assert first["cache-control"] == "private, no-cache"
    assert client.get(address + "display", headers={"if-none-match": first["etag"]}).status_code == 304
    Image.objects.filter(pk=image.pk).update(rendition=1)
    assert client.get(address + "display", headers={"if-none-match": first["etag"]}).status_code == 200
    assert "immutable" in client.get(address + "original")["cache-control"]


def test_database_refuses_invalid_windows(window: PixelWindow) -> None:
    for fields in (
        {"camera": "", "sample": "uint16", "black": 0, "white": 1},
        {"camera": "x", "sample": "uint16", "black": 1, "white": 1},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            PixelWindow.objects.create(dataset=window.dataset, **fields)


def test_a_corrected_camera_moves_the_image_to_its_window(upload: Upload, admin: User) -> None:
    """A former defect: the metadata named camera b, but the picture stayed in the window of camera a."""
    table = "file,camera\n"
    files = {"a.tif": tiff(scene(1)), "b.tif": tiff(scene(2) * 16), "c.tif": tiff(scene(3) * 16)}
    upload({**files, "metadata.csv": (table + "a.tif,a\nb.tif,b\nc.tif,a\n").encode()})
    assert PixelWindow.objects.filter(camera="a").get().images.count() == 2
    upload({"metadata.csv": (table + "c.tif,b\n").encode()})
    image = Image.objects.get(name="c.tif")
    assert image.window.camera == "b"
    job = Job.objects.get(kind=Kind.REBUILD_PICTURES)
    assert job.payload == {"window": image.window.pk}
    assert list(images_to_rebuild(image.dataset, image.window)) == [image]


def test_a_camera_without_a_window_gets_the_former_values(upload: Upload) -> None:
    upload({"a.tif": tiff(scene(1)), "b.tif": tiff(scene(2)), "metadata.csv": b"file,camera\na.tif,a\n"})
    upload({"metadata.csv": b"file,camera\na.tif,new\nb.tif,new\n"})
    windows = {image.window for image in Image.objects.select_related("window")}
    assert [(w.camera, w.sample, w.white) for w in windows] == [("new", "uint16", 1023.0)]


def test_other_columns_and_8_bit_images_change_no_window(upload: Upload) -> None:
    upload(
        {
            "a.tif": tiff(scene(1)),
            "b.png": encode(COLOUR, "PNG"),
            "metadata.csv": b"file,camera\na.tif,a\n",
        }
    )
    upload({"metadata.csv": b"file,camera,lot\na.tif,a,1\nb.png,z,1\n"})
    assert PixelWindow.objects.get().camera == "a"
    assert not Job.objects.filter(kind=Kind.REBUILD_PICTURES).exists()
