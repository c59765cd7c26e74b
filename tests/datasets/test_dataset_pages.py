"""Datasets over HTTP: creation, upload, image files, settings, and who may use them."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from mekiki.accounts.models import Role, User
from mekiki.accounts.services import set_role
from mekiki.audit.models import Event
from mekiki.datasets import services, storage
from mekiki.datasets.models import Dataset, Image, ImportBatch
from mekiki.jobs.models import Job, Kind
from tests.datasets.helpers import Files, codes, picture, zipped

Upload = Callable[[Files], ImportBatch]
JSON = {"accept": "application/json"}


def client_of(user: User, **options) -> Client:
    client = Client(headers={"accept-language": "en"}, **options)
    client.force_login(user)
    return client


def uploaded_file(name: str, data: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data)


def run_import(batch: int) -> ImportBatch:
    return services.run_import(batch=ImportBatch.objects.get(pk=batch), progress=lambda done, total: None)


def test_creation_redirects_to_the_labels(admin: User) -> None:
    client = client_of(admin)
    page = client.get(reverse("dataset-create"))
    assert page.status_code == 200 and b"pocket" in page.content
    response = client.post(
        reverse("dataset-create"), {"name": "傷検査", "description": "", "encoder_name": "pocket"}
    )
    dataset = Dataset.objects.get()
    assert response.status_code == 302 and response["location"] == f"/d/{dataset.slug}/labels/"
    refused = client.post(reverse("dataset-create"), {"name": "", "encoder_name": "made-up"})
    assert refused.status_code == 200 and refused.content.count(b'class="errorlist"') == 2
    assert Dataset.objects.count() == 1


def test_creation_needs_the_right_to_create_datasets(stranger: User) -> None:
    client = client_of(stranger)
    assert client.get(reverse("dataset-create")).status_code == 403
    assert client.post(reverse("dataset-create"), {"name": "X", "encoder_name": "pocket"}).status_code == 403
    assert not Dataset.objects.exists()


def test_upload_in_parts_is_imported(admin: User, dataset: Dataset) -> None:
    """The requests of js/upload.js: start, a part of many files with their paths, a streamed zip, finish."""
    client = client_of(admin)
    urls = client.post(reverse("import-start", args=[dataset.slug]), headers=JSON).json()
    part = {
        "files": [
            uploaded_file("a.jpg", picture(1)),
            uploaded_file("a.jpg", picture(2)),
            uploaded_file("bad.jpg", b"text"),
        ],
        "names": ["left/a.jpg", "右/a.jpg", "bad.jpg"],
        "refused": json.dumps(
            [
                {"name": "huge.tif", "size": 10**9},
                {"name": "locked/a.tif", "size": 0, "unreadable": True},
            ]
        ),
        "complete": "1",
    }
    assert client.post(urls["files"] + "?part=0", part).json() == {"taken": 3}
    part["files"] = [
        uploaded_file("a.jpg", picture(1)),
        uploaded_file("a.jpg", picture(2)),
        uploaded_file("bad.jpg", b"text"),
    ]
    # The reply was lost and the part is sent again. Nothing is counted twice.
    assert client.post(urls["files"] + "?part=0", part).json() == {"taken": 0}
    archive = zipped({"inside.jpg": picture(3)})
    response = client.post(
        urls["files"] + "?part=1",
        archive,
        content_type="application/octet-stream",
        headers={"x-file-name": quote("写真.zip"), "x-file-size": str(len(archive))},
    )
    assert response.json() == {"taken": 1}
    url = client.post(urls["finish"], headers=JSON).json()["url"]
    assert Job.objects.get(kind=Kind.IMPORT_IMAGES).payload == {"batch": urls["batch"]}
    assert "data-job=" in client.get(url).content.decode()
    batch = run_import(urls["batch"])
    assert (batch.added, batch.duplicates, batch.rejected) == (3, 0, 3)
    assert codes(batch) == {
        "bad.jpg": "not_an_image",
        "huge.tif": "too_large",
        "locked/a.tif": "unreadable_upload",
    }
    assert set(Image.objects.values_list("name", flat=True)) == {"left/a.jpg", "右/a.jpg", "inside.jpg"}
    page = client.get(url).content.decode()
    assert "This file is not an image, although its name suggests one." in page and "bad.jpg" in page
    late = client.post(urls["files"] + "?part=2", part)
    assert late.status_code == 409 and "has ended" in late.json()["detail"]
    assert client.post(urls["files"] + "?part=x", part).status_code == 400


def test_incomplete_body_is_refused_and_can_be_sent_again(admin: User, dataset: Dataset) -> None:
    """A proxy or server may pass on the rest of a broken connection.

    An incomplete file must not count as sent.
    """
    client = client_of(admin)
    urls = client.post(reverse("import-start", args=[dataset.slug]), headers=JSON).json()
    archive = zipped({"inside.jpg": picture(3)})

    def stream(data: bytes):
        headers = {"x-file-name": "a.zip", "x-file-size": str(len(archive))}
        kind = "application/octet-stream"
        return client.post(urls["files"] + "?part=0", data, content_type=kind, headers=headers)

    assert stream(archive[:100]).status_code == 408
    assert stream(archive).json() == {"taken": 1}
    whole = {"names": ["a.jpg"], "files": [uploaded_file("a.jpg", picture(1))]}
    assert client.post(urls["files"] + "?part=1", whole).status_code == 408
    whole["files"] = [uploaded_file("a.jpg", picture(1))]
    assert client.post(urls["files"] + "?part=1", whole | {"complete": "1"}).json() == {"taken": 1}
    client.post(urls["finish"], headers=JSON)
    batch = run_import(urls["batch"])
    assert (batch.added, batch.duplicates, batch.rejected) == (2, 0, 0)


def test_plain_form_uploads_without_scripts(admin: User, dataset: Dataset) -> None:
    client = client_of(admin)
    url = reverse("import", args=[dataset.slug])
    response = client.post(
        url,
        {
            "files": [
                uploaded_file("a.jpg", picture(1)),
                uploaded_file("b.zip", zipped({"c.jpg": picture(2)})),
            ]
        },
    )
    batch = ImportBatch.objects.get()
    assert response["location"] == reverse("import-batch", args=[dataset.slug, batch.pk])
    assert run_import(batch.pk).added == 2
    empty = client.post(url)
    assert empty.status_code == 200 and b"No file was chosen" in empty.content
    assert ImportBatch.objects.count() == 1


def test_unfinished_upload_can_be_finished_or_discarded(
    admin: User, dataset: Dataset, django_capture_on_commit_callbacks
) -> None:
    client = client_of(admin)
    batch = services.start_upload(dataset=dataset, user=admin)
    services.add_file(batch=batch, user=admin, name="a.jpg", file=io.BytesIO(picture(1)))
    page = client.get(reverse("import-batch", args=[dataset.slug, batch.pk])).content.decode()
    assert "This upload was not finished." in page
    client.post(reverse("import-finish", args=[dataset.slug, batch.pk]))
    assert Job.objects.filter(kind=Kind.IMPORT_IMAGES).count() == 1
    with django_capture_on_commit_callbacks(execute=True):
        response = client.post(reverse("import-discard", args=[dataset.slug, batch.pk]))
    assert response["location"] == reverse("import", args=[dataset.slug])
    assert not Path(batch.location).exists()
    assert Job.objects.get(kind=Kind.IMPORT_IMAGES).state == "cancelled"


def test_problems_are_listed_in_pages(admin: User, dataset: Dataset, upload: Upload) -> None:
    batch = upload({"a.zip": zipped({f"{i:03d}.txt": b"x" for i in range(150)})})
    client = client_of(admin)
    url = reverse("import-batch", args=[dataset.slug, batch.pk])
    whole = client.get(url)
    assert whole.content.count(b"not an image") == 25 and b"Not imported (150)" in whole.content
    first = client.get(url + "?outcome=refused")
    assert first.content.count(b"not an image") == 100
    second = client.get(url + first.context["older_url"])
    assert second.content.count(b"not an image") == 50
    assert second.context["older_url"] == ""
    # The sender chooses the names of the entries.
    hostile = upload({'<script>alert(1)</script>".txt': b"x"})
    page = client.get(reverse("import-batch", args=[dataset.slug, hostile.pk])).content
    assert b"<script>alert" not in page and b"&lt;script&gt;alert" in page


def every_address(dataset: Dataset, image: Image, batch: ImportBatch) -> dict[str, list[tuple[str, str]]]:
    """Return the (method, address) pairs by the role that they need."""
    s = dataset.slug
    return {
        "viewer": [
            ("get", reverse("images", args=[s])),
            *[
                ("get", reverse(name, args=[s, image.sha256]))
                for name in ("image", "image-thumb", "image-display", "image-original")
            ],
        ],
        "admin": [
            ("get", reverse("import", args=[s])),
            ("post", reverse("import", args=[s])),
            ("post", reverse("import-start", args=[s])),
            ("get", reverse("import-batch", args=[s, batch.pk])),
            ("get", reverse("import-report", args=[s, batch.pk])),
            ("post", reverse("import-files", args=[s, batch.pk]) + "?part=0"),
            ("post", reverse("import-finish", args=[s, batch.pk])),
            ("post", reverse("import-discard", args=[s, batch.pk])),
            ("get", reverse("dataset-settings", args=[s])),
            ("post", reverse("dataset-settings", args=[s])),
            ("post", reverse("dataset-archive", args=[s])),
        ],
    }


def test_addresses_are_open_to_their_roles_only(
    dataset: Dataset, reviewer: User, stranger: User, upload: Upload, admin: User
) -> None:
    batch = upload({"a.jpg": picture(1)})
    viewer = User.objects.create_user("vi")
    set_role(dataset=dataset, user=viewer, role=Role.VIEWER, actor=admin)
    addresses = every_address(dataset, Image.objects.get(), batch)
    for role, rows in addresses.items():
        for method, url in rows:
            assert getattr(Client(), method)(url)["location"].startswith("/accounts/login"), url
            assert getattr(client_of(stranger), method)(url).status_code == 404, url
            expected = 200 if role == "viewer" else 403
            for member in (viewer, reviewer):
                assert getattr(client_of(member), method)(url).status_code == expected, url
    assert Dataset.objects.get().archived_at is None


def test_forged_requests_are_refused(admin: User, dataset: Dataset) -> None:
    client = client_of(admin, enforce_csrf_checks=True)
    assert client.post(reverse("import-start", args=[dataset.slug])).status_code == 403
    assert not ImportBatch.objects.exists()


def test_import_of_another_dataset_answers_404(admin: User, dataset: Dataset, upload: Upload) -> None:
    batch = upload({"a.jpg": picture(1)})
    other = services.create_dataset(name="Other", user=admin)
    client = client_of(admin)
    assert client.get(reverse("import-batch", args=[other.slug, batch.pk])).status_code == 404
    sha = Image.objects.get().sha256
    assert client.get(reverse("image-thumb", args=[other.slug, sha])).status_code == 404


def test_files_of_an_image_have_safe_headers(admin: User, dataset: Dataset, upload: Upload) -> None:
    data = picture(1, (300, 200), "TIFF")
    upload({"部品 <1>.jpg": data})
    image = Image.objects.get()
    client = client_of(admin)

    def get(name: str, **headers: str):
        return client.get(reverse(name, args=[dataset.slug, image.sha256]), headers=headers)

    original = get("image-original")
    assert b"".join(original.streaming_content) == data
    assert original["content-type"] == "image/tiff"
    # The file ending follows the content, not the uploaded name.
    assert original["content-disposition"] == f"attachment; filename*=utf-8''{quote('部品 <1>.tif')}"
    for name in ("image-thumb", "image-display"):
        response = get(name)
        assert response["content-type"] == "image/webp"
        assert b"".join(response.streaming_content)[8:12] == b"WEBP"
        assert response["content-disposition"] == "inline"
        assert response["x-content-type-options"] == "nosniff"
        assert response["cache-control"] == "private, max-age=31536000, immutable"
        assert response["content-security-policy"] == (
            "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"
        )
        again = get(name, **{"if-none-match": response["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    upload({"small.png": picture(2, kind="PNG")})
    image = Image.objects.latest("pk")
    assert get("image-display")["content-type"] == "image/png"


def test_settings_page_saves_valid_values_only(admin: User, dataset: Dataset) -> None:
    client = client_of(admin)
    url = reverse("dataset-settings", args=[dataset.slug])
    values = {
        "name": "New name",
        "description": "d",
        "audit_percent": "20",
        "queue_target": "30",
        "acquisition": "typiclust",
        "overlap": "3",
        "retrain_every": "0",
        "grid_image_ms": "250",
        "gold_percent": "5",
        "gold_days": "60",
        "repeat_percent": "2.5",
        "repeat_days": "3",
        "gold_bound_percent": "90",
        "gold_bound_answers": "20",
        "requalification_questions": "5",
        "min_display_ms": "400",
        "critical_overlap": "1",
    }
    assert dataset.use_detail and 'name="use_detail"' in client.get(url).content.decode()
    assert client.post(url, {**values, "use_detail": "on"}).status_code == 302
    dataset.refresh_from_db()
    assert dataset.use_detail
    assert client.post(url, values).status_code == 302
    dataset.refresh_from_db()
    assert not dataset.use_detail, "a box that is not ticked is not sent"
    assert (dataset.name, dataset.audit_fraction, dataset.queue_target, dataset.retrain_every) == (
        "New name",
        0.2,
        30,
        0,
    )
    assert dataset.acquisition == "typiclust" and dataset.overlap == 3 and dataset.grid_image_ms == 250
    assert (dataset.gold_share, dataset.gold_days) == (0.05, 60)
    assert (dataset.repeat_share, dataset.repeat_days) == (0.025, 3)
    for bad in (
        {"gold_percent": "20.1"},
        {"gold_percent": "nan"},
        {"repeat_percent": "-1"},
        {"gold_days": "0"},
    ):
        assert client.post(url, values | bad).status_code == 200, bad
    for bad in ("", "99", "10001", "-1", "two"):
        assert client.post(url, values | {"grid_image_ms": bad}).status_code == 200, bad
    assert (dataset.gold_bound, dataset.gold_bound_answers, dataset.requalification_questions) == (0.9, 20, 5)
    for name, texts in {
        "gold_bound_percent": ("0", "100", "-1", "nan", "x"),
        "gold_bound_answers": ("", "4", "x"),
        "requalification_questions": ("", "0", "51"),
    }.items():
        for bad in texts:
            assert client.post(url, values | {name: bad}).status_code == 200, (name, bad)
    assert client.post(url, values | {"gold_bound_percent": ""}).status_code == 302
    dataset.refresh_from_db()
    assert dataset.gold_bound is None
    assert dataset.min_display_ms == 400
    for bad in ("", "149", "0", "-1", "10001", "two"):
        assert client.post(url, values | {"min_display_ms": bad}).status_code == 200, bad
    for bad in ("", "0", "-1", "10", "two"):
        assert client.post(url, values | {"overlap": bad}).status_code == 200, bad
    assert 'value="typiclust" selected' in client.get(url).content.decode()
    for bad in ("", "astrology", "margin\0", "x" * 100_000, "<script>"):
        reply = client.post(url, values | {"acquisition": bad})
        assert reply.status_code == 200 and "<script>" not in reply.content.decode().split("<main", 1)[1], bad
    dataset.refresh_from_db()
    assert dataset.acquisition == "typiclust"
    assert client.post(url, values | {"audit_percent": "95"}).status_code == 200
    dataset.refresh_from_db()
    assert dataset.audit_fraction == 0.2
    archive = reverse("dataset-archive", args=[dataset.slug])
    client.post(archive, {"name": "wrong"})
    assert Dataset.objects.get().archived_at is None
    assert client.post(archive, {"name": "New name"})["location"] == "/"
    assert client.get(url).status_code == 404


def test_changed_original_is_neither_downloaded_nor_displayed(
    admin: User, dataset: Dataset, upload: Upload
) -> None:
    upload({"small.png": picture(2, kind="PNG")})
    image = Image.objects.latest("pk")
    path = Path(default_storage.path(storage.original_name(dataset.pk, image.sha256)))
    good = path.read_bytes()
    client = client_of(admin)
    for name in ("image-original", "image-display"):
        path.write_bytes(good)
        assert client.get(reverse(name, args=[dataset.slug, image.sha256])).status_code == 200
        path.write_bytes(good[:-1] + b"X")
        answer = client.get(reverse(name, args=[dataset.slug, image.sha256]))
        assert answer.status_code == 409 and answer["cache-control"] == "private, no-store"
        assert "differs from the record" in answer.content.decode()
    assert Event.objects.get(kind="image.file_changed").data["expected"] == image.sha256
