"""Labels that come with images: where they are kept, what may use them, and that they are no answers."""

import io
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import ProgrammingError, transaction
from django.test import Client

from mekiki.accounts.models import Role, User
from mekiki.accounts.services import set_role
from mekiki.audit.models import Event
from mekiki.datasets import services
from mekiki.datasets.models import Dataset, ImportBatch
from mekiki.datasets.options import ImportOptions
from mekiki.labeling.models import Label
from mekiki.labeling.services import set_schema
from mekiki.learning.services.training import can_learn
from mekiki.review import services as review
from mekiki.review.imported import comparison, labels_to_train_on, names_of
from mekiki.review.models import ConfirmedLabel, Decision, ImportedLabel, QueueItem, Stream
from mekiki.review.selectors import training_votes
from mekiki.review.services.imported import add_missing_labels, map_label_names, set_label_use
from tests.datasets.helpers import picture, zipped

Upload = Callable[..., ImportBatch]


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_user("ada", may_create_datasets=True)


@pytest.fixture
def dataset(admin: User) -> Dataset:
    made = services.create_dataset(name="Parts", user=admin, audit_fraction=0.0)
    labels = [{"name": name, "prompts": [f"a photo of {name}"]} for name in ("OK", "傷")]
    set_schema(dataset=made, labels=labels, user=admin)  # type: ignore[arg-type]
    return made


@pytest.fixture
def upload(dataset: Dataset, admin: User) -> Upload:
    def run(
        files: dict[str, bytes], use: str = "train", into: Dataset | None = None, **values: Any
    ) -> ImportBatch:
        options = ImportOptions(label_use=use, label_source="Line 3", **values)
        batch = services.start_upload(dataset=into or dataset, user=admin, options=options)
        for name, data in files.items():
            services.add_file(batch=batch, user=admin, name=name, file=io.BytesIO(data))
        services.finish_upload(batch=batch, user=admin)
        return services.run_import(batch=batch, progress=lambda _done, _total: None)

    return run


def answer_as(user: User, dataset: Dataset, image: int, label: Label) -> None:
    """Let a user answer about an image."""
    QueueItem.objects.create(
        dataset=dataset, image_id=image, stream=Stream.UNCERTAIN, propensity=0.5, position=1, overlap=1
    )
    [leased] = review.next_items(dataset=dataset, user=user, count=1)
    review.answer(
        dataset=dataset,
        user=user,
        item_id=leased.item.pk,
        lease_id=leased.lease.pk,
        kind="correct",
        label=label,
        client_key=uuid.uuid4(),
    )


def labels_of(batch: ImportBatch) -> dict[str, set[str]]:
    """Return image name → texts of its labels."""
    found: dict[str, set[str]] = {}
    for row in ImportedLabel.objects.filter(name__batch=batch).select_related("image", "name"):
        found.setdefault(row.image.name, set()).add(row.name.text)
    return found


PICTURES = {f"{n}.png": picture(n, kind="PNG") for n in range(4)}
LABEL_STUDIO = [
    {
        "data": {"image": f"/data/upload/1/{n}.png"},
        "annotations": [
            {"completed_by": {"email": who}, "result": [{"type": "choices", "value": {"choices": [text]}}]}
            for who, text in given
        ],
        "predictions": [
            {"model_version": "m", "result": [{"type": "choices", "value": {"choices": ["ok"]}}]}
        ],
    }
    for n, given in enumerate(
        [[("a@x", "ok")], [("a@x", "傷")], [("a@x", "ok"), ("b@x", "傷")], [("a@x", "unknown")]]
    )
]
COCO = {
    "images": [{"id": n, "file_name": f"{n}.png"} for n in range(4)],
    "annotations": [{"id": n, "image_id": n, "category_id": n % 2} for n in range(4)],
    "categories": [{"id": 0, "name": "ok"}, {"id": 1, "name": "傷"}],
}
ALTERNATING = {"0.png": {"ok"}, "1.png": {"傷"}, "2.png": {"ok"}, "3.png": {"傷"}}


def test_labels_of_every_format(upload: Upload, admin: User) -> None:
    """The same labels arrive from each format, in a zip or beside the images."""
    table = "file_name,label\n" + "".join(f"{n}.png,{'傷' if n % 2 else 'ok'}\n" for n in range(4))
    lines = "".join(
        json.dumps({"file_name": f"{n}.png", "label": "傷" if n % 2 else "ok"}) + "\n" for n in range(4)
    )
    fiftyone = {"classes": ["ok", "傷"], "labels": {str(n): n % 2 for n in range(4)}}
    in_folders = {f"{'傷' if int(n[0]) % 2 else 'ok'}/{n}": data for n, data in PICTURES.items()}
    split = {f"set/{'train' if int(n[-5]) < 2 else 'val'}/{n}": data for n, data in in_folders.items()}
    cases: dict[str, tuple[dict[str, bytes], dict[str, Any]]] = {
        "metadata.csv": ({**PICTURES, "metadata.csv": table.encode()}, {}),
        "metadata.jsonl": ({**PICTURES, "metadata.jsonl": lines.encode()}, {}),
        "column": (
            {**PICTURES, "metadata.csv": table.replace("label", "kind").encode()},
            {"label_column": "Kind"},
        ),
        "coco": ({**PICTURES, "_annotations.coco.json": json.dumps(COCO).encode()}, {}),
        "fiftyone": (
            {**{f"data/{n}": d for n, d in PICTURES.items()}, "labels.json": json.dumps(fiftyone).encode()},
            {},
        ),
        "folders": (in_folders, {"folder_labels": True}),
        "split folders": (split, {"folder_labels": True}),
        "zip": ({"all.zip": zipped(split)}, {"folder_labels": True}),
    }
    for title, (files, values) in cases.items():
        other = services.create_dataset(name=title, user=admin, audit_fraction=0.0)
        batch = upload(files, into=other, **values)
        assert {n.rpartition("/")[2]: t for n, t in labels_of(batch).items()} == ALTERNATING, title
        assert batch.rejected == 0, title
        assert all("label" not in image.metadata for image in other.images.all()), title
    # Without the choice, nothing changes: the column is metadata, and no label is kept.
    other = services.create_dataset(name="ignored", user=admin, audit_fraction=0.0)
    batch = upload({**PICTURES, "metadata.csv": table.encode()}, use="ignore", into=other)
    assert labels_of(batch) == {} and other.images.get(name="1.png").metadata == {"label": "傷"}
    # A split beside other folders is not guessed.
    other = services.create_dataset(name="mixed", user=admin, audit_fraction=0.0)
    mixed = {"train/ok/0.png": PICTURES["0.png"], "ng/1.png": PICTURES["1.png"]}
    batch = upload(mixed, into=other, folder_labels=True)
    assert labels_of(batch) == {} and batch.problems.get().code == "folder_labels_unclear"


def test_imported_labels_are_no_decisions(upload: Upload, dataset: Dataset, admin: User) -> None:
    batch = upload({**PICTURES, "project-1-at-2026.json": json.dumps(LABEL_STUDIO).encode()})
    assert (batch.added, batch.rejected) == (4, 0)
    assert not Decision.objects.exists() and not ConfirmedLabel.objects.exists()
    assert training_votes(dataset) == []
    names = {row.text: row for row in names_of(batch)}
    assert {text: row.label and row.label.name for text, row in names.items()} == {
        "ok": "OK",
        "傷": "傷",
        "unknown": None,
    }
    event = Event.objects.get(kind="labels.imported")
    assert event.data | {"x": 0} == {
        "source": "Line 3",
        "use": "train",
        "images": 4,
        "names": 3,
        "unknown": 1,
        "x": 0,
    }
    images = {image.name: image.pk for image in dataset.images.all()}
    # Two people differ about 2.png, and the schema has no label for 3.png: both are left out.
    votes = labels_to_train_on(dataset)
    assert {vote.image for vote in votes} == {images["0.png"], images["1.png"]}
    assert all(vote.imported for vote in votes) and can_learn(dataset)
    # A row is never changed.
    with pytest.raises(ProgrammingError), transaction.atomic():
        ImportedLabel.objects.update(author="other")
    # A reviewer's answer has priority, and is compared with the imported label.
    ok, scratch = dataset.labels.order_by("position")
    answer_as(admin, dataset, images["0.png"], scratch)
    assert {vote.image for vote in labels_to_train_on(dataset)} == {images["1.png"]}
    assert [(vote.image, vote.label) for vote in training_votes(dataset)] == [(images["0.png"], scratch.pk)]
    compared = comparison(batch)
    assert (compared.images, compared.equal, compared.pairs) == (1, 0, [("OK", "傷", 1)])
    # The admin's choice can be changed, and is recorded.
    set_label_use(batch=batch, user=admin, use="compare")
    assert labels_to_train_on(dataset) == []
    set_label_use(batch=batch, user=admin, use="train")
    # Missing labels are added with a prompt, and then used.
    added = add_missing_labels(batch=batch, user=admin)
    assert [label.name for label in added] == ["unknown"]
    assert {vote.image for vote in labels_to_train_on(dataset)} == {images["1.png"], images["3.png"]}
    map_label_names(batch=batch, user=admin, labels={names["unknown"].pk: ok.pk, names["傷"].pk: None})
    # A name that stands for no label is not used, so the labels of 2.png do not differ any more.
    used = {(images["2.png"], ok.pk), (images["3.png"], ok.pk)}
    assert {(vote.image, vote.label) for vote in labels_to_train_on(dataset)} == used


def test_the_audit_reserve_is_never_trained_on(upload: Upload, dataset: Dataset) -> None:
    dataset.audit_fraction = 0.9
    dataset.save(update_fields=["audit_fraction"])
    files = {f"ok/{n}.png": picture(n, kind="PNG") for n in range(30)}
    upload(files, folder_labels=True)
    reserve = set(dataset.images.filter(audit_key__lt=0.9).values_list("pk", flat=True))
    used = {vote.image for vote in labels_to_train_on(dataset)}
    assert reserve and not used & reserve and len(used) == 30 - len(reserve)


def test_labels_of_known_images_and_of_a_second_import(upload: Upload, dataset: Dataset, admin: User) -> None:
    """A table alone gives labels to images of the dataset, and the newest import is trained on."""
    upload(PICTURES, use="ignore")
    first = upload({"metadata.csv": b"file,label\n0.png,ok\n1.png,ok\nnone.png,ok\n"})
    assert labels_of(first) == {"0.png": {"ok"}, "1.png": {"ok"}}
    assert first.problems.get(code="metadata_row_unmatched").detail["cell"] == "none.png"
    second = upload({"metadata.csv": "file,label\n1.png,傷\n".encode()})
    labels = {label.pk: label.name for label in dataset.labels.all()}
    images = {image.pk: image.name for image in dataset.images.all()}
    assert {images[v.image]: labels[v.label] for v in labels_to_train_on(dataset)} == {
        "0.png": "OK",
        "1.png": "傷",
    }
    # The same picture under two labels keeps both, and the report names the file.
    twice = upload({"ok/9.png": picture(9), "傷/9.png": picture(9)}, folder_labels=True)
    assert labels_of(twice) == {"ok/9.png": {"ok", "傷"}}
    assert twice.problems.get(code="labels_differ").name == "傷/9.png"
    # An import that runs again stores nothing twice.
    count = ImportedLabel.objects.count()
    ImportBatch.objects.filter(pk=second.pk).update(finished_at=None)
    services.run_import(batch=second, progress=lambda _done, _total: None)
    assert ImportedLabel.objects.count() == count


def test_only_admins_choose(upload: Upload, dataset: Dataset, admin: User) -> None:
    batch = upload({"ok/9.png": picture(9)}, folder_labels=True)
    reviewer = User.objects.create_user("rin")
    set_role(dataset=dataset, user=reviewer, role=Role.REVIEWER, actor=admin)
    name = names_of(batch)[0]
    for act in (
        lambda: set_label_use(batch=batch, user=reviewer, use="compare"),
        lambda: map_label_names(batch=batch, user=reviewer, labels={name.pk: None}),
        lambda: add_missing_labels(batch=batch, user=reviewer),
    ):
        with pytest.raises(PermissionDenied):
            act()
    with pytest.raises(ValidationError):
        map_label_names(batch=batch, user=admin, labels={name.pk: 10**9})
    with pytest.raises(ValidationError):
        set_label_use(batch=batch, user=admin, use="ignore")


def test_pages_and_api(dataset: Dataset, admin: User, client: Client, settings: Any, tmp_path: Any) -> None:
    """The forms of the import page, the page of the labels, the page of an image, and the API."""
    settings.IMPORT_FOLDERS, settings.IMPORT_BUCKETS = [str(tmp_path)], ["s3://photos"]
    for name, data in PICTURES.items():
        (tmp_path / name).write_bytes(data)
    client.force_login(admin)
    page = client.get(f"/d/{dataset.slug}/import/").content.decode()
    assert str(tmp_path) in page and "s3://photos" in page and "data-path-builder" in page
    manifest = SimpleUploadedFile("list.csv", "file,label\n0.png,ok\n1.png,new\n2.png,傷\n".encode())
    form = {"manifest": manifest, "folder": str(tmp_path), "label_use": "train", "label_source": "Line 3"}
    response = client.post(f"/d/{dataset.slug}/import/manifest/", form)
    batch = ImportBatch.objects.get()
    assert response.headers["Location"] == f"/d/{dataset.slug}/import/{batch.pk}/"
    services.run_import(batch=batch, progress=lambda _done, _total: None)
    labels_url = f"/d/{dataset.slug}/review/imported/{batch.pk}/"
    assert labels_url in client.get(response.headers["Location"]).content.decode()
    page = client.get(labels_url).content.decode()
    assert "Line 3" in page and "new" in page and "1 name stands for no label" in page
    name = batch.label_names.get(text="new")
    ok = dataset.labels.get(name="OK")
    client.post(f"{labels_url}act/", {f"name-{name.pk}": ok.pk})
    assert batch.label_names.get(text="new").label == ok
    client.post(f"{labels_url}act/", {f"name-{name.pk}": ""})
    page = client.post(f"{labels_url}act/", {"add": "1"}, follow=True).content.decode()
    assert "1 label was added." in page and dataset.labels.filter(name="new").exists()
    client.post(f"{labels_url}act/", {"use": "compare"})
    batch.refresh_from_db()
    assert batch.label_use == "compare"
    client.post(f"{labels_url}act/", {"use": "other"})
    batch.refresh_from_db()
    assert batch.label_use == "compare"
    image = dataset.images.get(name="0.png")
    assert "Imported labels" in client.get(f"/d/{dataset.slug}/images/{image.sha256}/").content.decode()
    dataset.audit_fraction = 0.9
    dataset.save(update_fields=["audit_fraction"])
    hidden = dataset.images.filter(audit_key__lt=0.9).first()
    assert hidden is not None
    assert "Imported labels" not in client.get(f"/d/{dataset.slug}/images/{hidden.sha256}/").content.decode()
    # Refused forms keep their values and state the reason.
    for url, values in (
        ("manifest/", {"manifest": SimpleUploadedFile("a.csv", b"file\na\n"), "path_pattern": "{a}{b}"}),
        ("manifest/", {"manifest": SimpleUploadedFile("a.csv", b"file\na\n"), "folder": "/etc"}),
        ("manifest/", {}),
        ("folder/", {"path": "/etc"}),
        ("folder/", {"path": str(tmp_path), "watch": "on", "minutes": "0"}),
        ("bucket/", {"address": "s3://other"}),
    ):
        assert client.post(f"/d/{dataset.slug}/import/{url}", values).status_code == 422, (url, values)
    assert client.post(f"/d/{dataset.slug}/import/start", {"label_use": "no"}).status_code == 422
    api = f"/api/v1/datasets/{dataset.slug}/imports"
    given = {"path": str(tmp_path), "label_use": "train", "folder_labels": True}
    begun = client.post(api, given, content_type="application/json").json()
    assert (begun["source"], begun["label_use"], begun["undone_at"]) == ("folder", "train", None)
    assert client.post(api, {"path": "/etc"}, content_type="application/json").status_code == 422
    assert client.post(f"{api}/{batch.pk}/undo").status_code == 200
    assert client.post(f"{api}/{begun['id']}/undo").status_code == 422
