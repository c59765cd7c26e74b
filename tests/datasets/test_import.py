"""What an import stores of valid files: hashes, derivatives, metadata, and counts.

The counts stay right when processes are killed or run at the same time.
"""

import io
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from PIL import Image as Pillow

import imaging
from mekiki.accounts.models import User
from mekiki.audit.models import Event
from mekiki.datasets import services, storage
from mekiki.datasets.importing import pictures, pipeline, recording, report
from mekiki.datasets.models import Dataset, Image, ImportBatch
from mekiki.datasets.problems import ReportLine
from mekiki.jobs.models import Job, Kind
from tests.datasets.helpers import Files, codes, picture, stored_names, zipped
from workers.acquisition.audit import audit_key

Upload = Callable[[Files], ImportBatch]


def open_display_file(image: Image, name: Callable[[int, str], str] = storage.display_name) -> Pillow.Image:
    return Pillow.open(storage.open_named(name(image.dataset_id, image.sha256)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_formats_are_recognised_by_content(upload: Upload, dataset: Dataset, kind: str) -> None:
    data = picture(1, (300, 200), kind)
    upload({"wrong.txt": data})
    image = Image.objects.get()
    assert (image.format, image.width, image.height, image.size) == (kind, 300, 200, len(data))
    assert storage.open_original(image).read() == data
    thumb = open_display_file(image, storage.thumb_name)
    assert (thumb.format, thumb.size) == ("WEBP", (256, 171))
    assert storage.is_stored(storage.display_name(dataset.pk, image.sha256)) == (kind in {"BMP", "TIFF"})


def test_large_pictures_get_a_smaller_display_file(upload: Upload) -> None:
    upload({"large.jpg": picture(1, (2400, 1000))})
    image = Image.objects.get()
    assert (image.width, image.height) == (2400, 1000)
    assert open_display_file(image).size == (1600, 667)


def test_orientation_is_applied_for_people_and_encoders(upload: Upload) -> None:
    left_white = Pillow.new("L", (60, 40), 0)
    left_white.paste(255, (0, 0, 20, 40))
    exif = Pillow.Exif()
    exif[0x0112] = 6  # shown turned clockwise by 90°: the left side becomes the top
    out = io.BytesIO()
    left_white.save(out, "JPEG", exif=exif, quality=95)
    upload({"turned.jpg": out.getvalue()})
    image = Image.objects.get()
    assert (image.width, image.height) == (40, 60)
    for picture_ in (
        open_display_file(image, storage.thumb_name).convert("L"),
        imaging.decode(storage.open_original(image).read()).image,
    ):
        assert picture_.size == (40, 60)
        assert picture_.getpixel((20, 5)) > 240
        assert picture_.getpixel((20, 50)) < 15


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize(("top", "scale"), [(65535, 65535), (4000, 4095), (200, 255)])
def test_deep_grey_is_scaled_not_clipped(upload: Upload, kind: str, top: int, scale: int) -> None:
    ramp = np.linspace(0, top, 64).astype(np.uint16)[None, :].repeat(32, 0)
    out = io.BytesIO()
    Pillow.fromarray(ramp).save(out, kind)
    upload({"deep": out.getvalue()})
    image = Image.objects.get()
    display = np.asarray(open_display_file(image).convert("L")).astype(float)
    np.testing.assert_allclose(display, ramp * 255.0 / scale, atol=0.51)
    assert image.window is not None and (image.window.black, image.window.white) == (0, scale)


def test_first_frame_of_an_animation_is_displayed(upload: Upload) -> None:
    out = io.BytesIO()
    frames = [Pillow.new("RGB", (20, 20), c) for c in ("red", "blue")]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    upload({"moving.gif": out.getvalue()})
    red, _green, blue = open_display_file(Image.objects.get()).convert("RGB").getpixel((5, 5))
    assert red > 200 > 50 > blue


def test_derivatives_carry_no_location(upload: Upload) -> None:
    exif = Pillow.Exif()
    exif[0x010F] = "Secret Camera"
    out = io.BytesIO()
    Pillow.new("RGB", (2000, 10)).save(out, "JPEG", exif=exif)
    upload({"a.jpg": out.getvalue()})
    image = Image.objects.get()
    assert (
        not open_display_file(image).getexif() and not open_display_file(image, storage.thumb_name).getexif()
    )


def test_duplicates_are_kept_once_and_counted(upload: Upload, dataset: Dataset, admin: User) -> None:
    same = picture(1)
    first = upload({"a.jpg": same, "b.jpg": same, "z.zip": zipped({"c.jpg": same, "d.jpg": picture(2)})})
    assert (first.added, first.duplicates, first.rejected) == (2, 2, 0)
    second = upload({"again.jpg": same, "new.jpg": picture(3)})
    assert (second.added, second.duplicates) == (1, 1)
    assert sorted(Image.objects.values_list("name", flat=True)) == ["a.jpg", "d.jpg", "new.jpg"]
    other = services.create_dataset(name="Other", user=admin)
    assert upload({"a.jpg": same}, into=other).added == 1  # type: ignore[call-arg]


def test_audit_key_is_what_workers_compute(upload: Upload, dataset: Dataset) -> None:
    upload({f"{i}.jpg": picture(i) for i in range(8)})
    images = list(Image.objects.all())
    assert [i.audit_key for i in images] == [audit_key(dataset.seed, i.sha256) for i in images]
    assert len({i.audit_key for i in images}) == 8


def test_names_in_zips_are_decoded(upload: Upload) -> None:
    """Names in UTF-8 with and without the flag, and in Shift-JIS without it.

    One character has a backslash as its second byte.
    """
    out = io.BytesIO()
    placeholders = {}
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("旗あり/傷.jpg", picture(1))
        for i, raw in enumerate(
            ["傷/ライン3.jpg".encode("cp932"), "表面.jpg".encode("cp932"), "がぎ.jpg".encode()], 2
        ):
            name = chr(ord("v") + i) * len(raw)  # not a digit, because JPEG tables contain runs of "2"
            placeholders[name.encode()] = raw
            archive.writestr(name, picture(i))
    data = out.getvalue()
    for name, raw in placeholders.items():
        data = data.replace(name, raw)
    batch = upload({"a.zip": data})
    assert codes(batch) == {}
    expected = {"旗あり/傷.jpg", "傷/ライン3.jpg", "表面.jpg", "がぎ.jpg"}
    assert set(Image.objects.values_list("name", flat=True)) == expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp932"])
@pytest.mark.parametrize("source", ["zip", "folder", "upload"])
def test_metadata_table_is_read_from_every_source(
    upload: Upload, dataset: Dataset, admin: User, tmp_path: Path, source: str, encoding: str
) -> None:
    columns = "".join(f",k{i}" for i in range(40))
    table = f"ライン,file,shift,empty{columns}\n第3,sub/a.jpg,night,,{'x' * 300}\n第4,b.jpg,\n".encode(
        encoding
    )
    files = {
        "top/metadata.csv": table,
        "top/sub/a.jpg": picture(1),
        "top/b.jpg": picture(2),
        "c.jpg": picture(3),
    }
    if source == "zip":
        batch = upload({"a.zip": zipped(files)})
    elif source == "upload":
        batch = upload(files)
    else:
        for name, data in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(data)
        services.import_folder(dataset=dataset, path=tmp_path, user=admin)
        batch = services.run_import(batch=ImportBatch.objects.get(), progress=lambda done, total: None)
    assert (batch.added, batch.rejected) == (3, 0)
    metadata_of_images = dict(Image.objects.values_list("name", "metadata"))
    assert metadata_of_images["top/sub/a.jpg"] == {"ライン": "第3", "shift": "night", "k0": "x" * 200}
    assert metadata_of_images["top/b.jpg"] == {"ライン": "第4"}
    assert metadata_of_images["c.jpg"] == {}


@pytest.mark.parametrize(
    ("table", "reason"),
    [(b"line,shift\n1,2\n", "no_file_column"), (b"\xef\xbb\xbffile\n\x81\n", "encoding"), (b"", "empty")],
)
def test_unusable_table_does_not_prevent_the_import(upload: Upload, table: bytes, reason: str) -> None:
    batch = upload({"a.zip": zipped({"metadata.csv": table, "a.jpg": picture(1)})})
    assert batch.added == 1
    problem = batch.problems.get()
    assert (problem.name, problem.code, problem.detail) == (
        "a.zip/metadata.csv",
        "metadata_invalid",
        {"reason": reason},
    )


def test_end_of_an_import_is_recorded_once(upload: Upload, dataset: Dataset, admin: User) -> None:
    batch = upload({"a.jpg": picture(1), "b.jpg": b"no"})
    event = Event.objects.get(kind="images.imported")
    counts = {"added": 1, "duplicates": 0, "rejected": 1, "partly": 0, "skipped": 0, "noted": 0}
    assert event.data == counts
    assert (event.actor_id, event.dataset_id, event.object_id) == (admin.pk, dataset.pk, str(batch.pk))
    assert not Path(batch.location).exists()
    assert Job.objects.filter(kind=Kind.ENCODE, dataset=dataset).count() == 1
    # A worker may get the same message twice.
    again = services.run_import(batch=batch, progress=lambda done, total: None)
    assert (again.added, again.rejected) == (1, 1)
    assert Event.objects.filter(kind="images.imported").count() == 1


class KilledError(Exception):
    """An exception in place of kill -9: none of the import's own code runs after it."""


def test_killed_import_counts_no_file_twice(
    dataset: Dataset, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "CHUNK_FILES", 4)
    files = {f"{i:02d}.jpg": picture(i % 15) for i in range(20)} | {"bad.jpg": b"bad", "first-bad.jpg": b""}
    batch = services.start_upload(dataset=dataset, user=admin)
    services.add_file(batch=batch, user=admin, name="first-bad.jpg", file=io.BytesIO(b""))
    services.add_file(batch=batch, user=admin, name="all.zip", file=io.BytesIO(zipped(files)))

    def die_at(limit: int) -> Callable[[int, int | None], None]:
        def progress(done: int, total: int | None) -> None:
            if done >= limit:
                raise KilledError

        return progress

    for limit in (4, 8, 12):
        with pytest.raises(KilledError):
            services.run_import(batch=batch, progress=die_at(limit))
        batch.refresh_from_db()
        assert batch.finished_at is None
    stored_before = Image.objects.count()
    assert 0 < stored_before < 15
    decoded = []
    examine = pictures.read_picture
    monkeypatch.setattr(pictures, "read_picture", lambda data, **kw: decoded.append(1) or examine(data, **kw))
    calls: list[tuple[int, int | None]] = []
    finished = services.run_import(batch=batch, progress=lambda n, total: calls.append((n, total)))
    assert (finished.added, finished.duplicates, finished.rejected) == (15, 5, 3)
    assert Image.objects.count() == 15 == len(stored_names(dataset)) == len(stored_names(dataset, "thumbs"))
    assert calls[0] == (0, 23) and calls[-1] == (23, 23)
    # Stored files are not decoded again.
    assert len(decoded) <= 15 - stored_before + 5 + 2


def test_import_killed_between_file_and_row_stores_one_file(
    upload: Upload, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is stored and the row is not. The next run writes the row and leaves one file."""
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(recording.Recorder, "finish", lambda *_args: (_ for _ in ()).throw(KilledError))
        upload({"a.jpg": picture(1)})
    assert Image.objects.count() == 0
    batch = services.run_import(batch=ImportBatch.objects.get(), progress=lambda done, total: None)
    assert batch.added == 1 and len(stored_names(dataset)) == 1


@pytest.mark.django_db(transaction=True)
def test_concurrent_imports_store_every_file_once(dataset: Dataset, admin: User, tmp_path: Path) -> None:
    for i in range(40):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i))
    batches = []
    for _ in range(2):
        services.import_folder(dataset=dataset, path=tmp_path, user=admin)
        batches.append(ImportBatch.objects.latest("pk"))
    # A third worker runs the second import again, as after a repeated message of the broker.
    runs = [batches[0], batches[1], batches[1]]
    start = threading.Barrier(len(runs))
    errors: list[BaseException] = []

    def run_in_thread(batch: ImportBatch) -> None:
        try:
            start.wait()
            services.run_import(batch=batch, progress=lambda done, total: None)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run_in_thread, args=[batch]) for batch in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert Image.objects.filter(dataset=dataset).count() == 40 == len(stored_names(dataset))
    for batch in batches:
        batch.refresh_from_db()
        assert batch.finished_at is not None
        assert (batch.added + batch.duplicates, batch.rejected) == (40, 0)
    assert sum(batch.added for batch in batches) == 40
    assert Event.objects.filter(kind="images.imported").count() == 2


def test_a_late_worker_writes_nothing_into_a_finished_import(
    dataset: Dataset, admin: User, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(1))
    services.import_folder(dataset=dataset, path=tmp_path, user=admin)
    batch = ImportBatch.objects.get()
    hand = services.imports.examined_files_of(batch)
    services.discard_import(batch=batch, user=admin)
    with pytest.raises(recording.AlreadyFinishedError):
        pipeline.store_all(batch, services.imports.Folder(tmp_path), lambda done, total: None, hand)
    assert Image.objects.count() == 0


def test_ended_uploads_accept_no_more_files(upload: Upload, dataset: Dataset, admin: User) -> None:
    batch = services.start_upload(dataset=dataset, user=admin)
    services.finish_upload(batch=batch, user=admin)
    with pytest.raises(ValidationError, match="imported already"):
        services.add_file(batch=batch, user=admin, name="late.jpg", file=io.BytesIO(picture(1)))
    finished = upload({"a.jpg": picture(1)})
    with pytest.raises(ValidationError, match="has ended"):
        services.add_file(batch=finished, user=admin, name="late.jpg", file=io.BytesIO(picture(1)))
    with pytest.raises(ValidationError, match="finished"):
        services.finish_upload(batch=finished, user=admin)


def test_file_over_the_limit_is_reported_and_not_stored(upload: Upload, settings) -> None:
    settings.MAX_FILE_BYTES = 5000
    batch = upload(
        {
            "big.jpg": picture(1, (200, 200)),
            "a.zip": zipped({"small.jpg": picture(2), "big2.jpg": picture(3, (200, 200))}),
        }
    )
    assert codes(batch) == {"big.jpg": "too_large", "a.zip/big2.jpg": "too_large"}
    assert (batch.added, batch.rejected) == (1, 2)


def test_discarding_an_upload_deletes_its_files(
    dataset: Dataset, admin: User, django_capture_on_commit_callbacks
) -> None:
    batch = services.start_upload(dataset=dataset, user=admin)
    services.add_file(batch=batch, user=admin, name="a.jpg", file=io.BytesIO(picture(1)))
    assert oct(Path(batch.location).stat().st_mode & 0o777) == "0o700"
    with django_capture_on_commit_callbacks(execute=True):
        services.discard_import(batch=batch, user=admin)
    assert not Path(batch.location).exists()
    assert not ImportBatch.objects.exists()


def test_truncated_list_of_names_is_repaired(dataset: Dataset, admin: User) -> None:
    batch = services.start_upload(dataset=dataset, user=admin)
    services.add_file(batch=batch, user=admin, name="a.jpg", file=io.BytesIO(picture(1)))
    with (Path(batch.location) / "names.jsonl").open("ab") as lines:
        lines.write(b'{"file": 99, "na')
    services.add_file(batch=batch, user=admin, name="b.jpg", file=io.BytesIO(picture(2)))
    services.finish_upload(batch=batch, user=admin)
    assert services.run_import(batch=batch, progress=lambda done, total: None).added == 2


def test_command_queues_an_import(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("import", dataset.slug, str(tmp_path))
    job = Job.objects.get(kind=Kind.IMPORT_IMAGES)
    assert ImportBatch.objects.get().location == str(tmp_path)
    assert job.payload == {"batch": ImportBatch.objects.get().pk}
    assert "/d/scratches/activity/" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no dataset"):
        call_command("import", "nothing", str(tmp_path))
    with pytest.raises(CommandError, match="nothing at"):
        call_command("import", dataset.slug, str(tmp_path / "gone"))


def test_only_refused_files_count_as_rejected(upload: Upload) -> None:
    batch = upload({"a.jpg": picture(1), "bad.jpg": b"no image"})
    batch.finished_at = None
    batch.save()
    report.Report(batch).add([("a.jpg", ReportLine("frames_left_out", "partly", {"frames": 3}))])
    services.discard_import(batch=batch, user=None)
    batch.refresh_from_db()
    assert batch.rejected == 1
    outcomes = dict(batch.problems.values_list("name", "outcome"))
    assert outcomes == {"a.jpg": "partly", "bad.jpg": "refused"}
