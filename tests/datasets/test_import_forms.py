"""The forms of the import page: hostile and wrong values get a sentence, and start nothing."""

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from mekiki.accounts.models import User
from mekiki.datasets.models import Dataset, ImportBatch, WatchedFolder
from mekiki.jobs.models import Job
from tests.datasets.helpers import picture


def manifest(data: bytes, name: str = "list.csv") -> dict[str, Any]:
    return {"manifest": SimpleUploadedFile(name, data)}


# (form, values, words of the refusal)
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("manifest", {}, "This field is required"),
    ("manifest", {"manifest": "a text and no file"}, "This field is required"),
    ("manifest", manifest(b""), "empty"),
    ("manifest", manifest(b" \n\n"), "Nothing was imported"),
    ("manifest", manifest(b"\x89PNG\r\n\x1a\n" + bytes(600), "list.png"), "is no manifest"),
    ("manifest", manifest(b"PK\x03\x04" + bytes(600), "../../list.csv"), "is no manifest"),
    ("manifest", {**manifest(b"file\na.png\n"), "folder": "/etc"}, "not in a folder that the server allows"),
    ("manifest", {**manifest(b"file\na.png\n"), "label_use": "everything"}, "othing was imported"),
    ("manifest", {**manifest(b"file\na.png\n"), "path_pattern": "{" * 400}, "othing was imported"),
    ("folder", {}, "This field is required"),
    ("folder", {"path": "ALLOWED/../.."}, "not in a folder that the server allows"),
    ("folder", {"path": "ALLOWED/link"}, "not in a folder that the server allows"),
    ("folder", {"path": "ALLOWED/nothing"}, "not in a folder that the server allows"),
    ("folder", {"path": "a\0b"}, "Null characters"),
    ("folder", {"path": "ALLOWED", "watch": "on", "minutes": "0"}, "greater than or equal to 1"),
    ("folder", {"path": "ALLOWED", "watch": "on", "minutes": "soon"}, "whole number"),
    ("bucket", {}, "This field is required"),
    ("bucket", {"address": "s3://other/line3"}, "does not allow imports from this bucket"),
    ("bucket", {"address": "s3://photos/line3/../secret"}, "does not allow imports from this bucket"),
    ("bucket", {"address": "s3://photos/line3x"}, "does not allow imports from this bucket"),
    ("bucket", {"address": "s3://photos/" + "a" * 600}, "at most 500 characters"),
]


@pytest.fixture
def allowed(tmp_path: Path, settings: Any) -> Path:
    """Allow one folder of the server, with a link that leads out of it, and one bucket."""
    folder = tmp_path / "allowed"
    folder.mkdir()
    (folder / "a.png").write_bytes(picture(1))
    (folder / "link").symlink_to("/etc")
    settings.IMPORT_FOLDERS, settings.IMPORT_BUCKETS = [str(folder)], ["s3://photos/line3"]
    return folder


def test_wrong_values_are_refused_with_a_sentence(dataset: Dataset, admin: User, allowed: Path) -> None:
    client = Client(headers={"accept-language": "en"})
    client.force_login(admin)
    for name, values, words in REFUSED:
        sent = {
            key: value.replace("ALLOWED", str(allowed)) if isinstance(value, str) else value
            for key, value in values.items()
        }
        reply = client.post(reverse(f"import-{name}", args=[dataset.slug]), sent)
        assert reply.status_code == 422, (name, values)
        assert words in reply.content.decode(), (name, values)
    assert (
        not ImportBatch.objects.exists() and not Job.objects.exists() and not WatchedFolder.objects.exists()
    )


def test_right_values_start_an_import(dataset: Dataset, admin: User, allowed: Path) -> None:
    client = Client()
    client.force_login(admin)
    for name, values in (
        ("manifest", {**manifest(b"file\na.png\n"), "folder": str(allowed)}),
        ("folder", {"path": str(allowed)}),
        ("bucket", {"address": "s3://photos/line3/ok"}),
    ):
        reply = client.post(reverse(f"import-{name}", args=[dataset.slug]), values)
        batch = ImportBatch.objects.latest("pk")
        assert reply.status_code == 302 and reply["Location"].endswith(f"/import/{batch.pk}/")
    assert ImportBatch.objects.count() == 3
    watch = {"path": str(allowed), "watch": "on", "minutes": ""}
    assert client.post(reverse("import-folder", args=[dataset.slug]), watch).status_code == 302
    assert WatchedFolder.objects.get().minutes == 5
    again = client.post(reverse("import-folder", args=[dataset.slug]), watch)
    assert again.status_code == 422 and WatchedFolder.objects.count() == 1
