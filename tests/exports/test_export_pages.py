"""The page of the label sets over HTTP."""

import io
import zipfile

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from mekiki.audit.models import Event
from mekiki.audit.private_key import SigningKeyError
from mekiki.datasets.models import ChangedFile
from mekiki.exports import selectors
from mekiki.exports.models import LabelSet
from mekiki.exports.services import freeze
from mekiki.exports.writing import write_label_set
from mekiki.jobs.models import Job, State
from tests import factories
from tests.exports.helpers import Judged, ignore_progress, path_of
from verification import signing


@pytest.fixture
def page(judged: Judged) -> str:
    return reverse("exports", args=[judged.dataset.slug])


def test_admin_freezes_a_label_set_and_sees_its_progress(judged: Judged, page: str, client: Client) -> None:
    client.force_login(judged.admin)
    assert "No label set yet" in client.get(page).content.decode()
    answer = client.post(
        page,
        {"note": "first", "include_images": "on", "labels": "people", "machine_threshold": ""},
        follow=True,
    )
    label_set = LabelSet.objects.get()
    assert (label_set.note, label_set.include_images, label_set.machine_threshold) == ("first", True, None)
    assert f'data-job="{label_set.job_id}"' in answer.content.decode()


def test_invalid_form_shows_errors_and_keeps_the_input(judged: Judged, page: str, client: Client) -> None:
    client.force_login(judged.admin)
    answer = client.post(page, {"note": "kept", "labels": "uncertified", "machine_threshold": "7"})
    assert answer.status_code == 422
    assert 'value="kept"' in answer.content.decode() and "errorlist" in answer.content.decode()
    assert not LabelSet.objects.exists()


def test_download_by_a_member_is_recorded(
    judged: Judged, frozen: LabelSet, page: str, client: Client
) -> None:
    viewer = factories.UserFactory()
    factories.MembershipFactory(dataset=judged.dataset, user=viewer, role="viewer")
    client.force_login(viewer)
    html = client.get(page).content.decode()
    assert frozen.sha256 in html and selectors.key_fingerprint() in html
    assert "Freeze a label set" not in html
    answer = client.get(reverse("label-set-download", args=["parts", 1]))
    content = b"".join(answer.streaming_content)
    assert content == path_of(frozen).read_bytes()
    assert 'filename="parts-v1.zip"' in answer["Content-Disposition"]
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None
    event = Event.objects.get(kind="label_set.downloaded")
    assert (event.actor_id, event.data["version"]) == (viewer.pk, 1)
    key = client.get(reverse("label-set-key", args=["parts"])).content
    assert (
        key.startswith(b"-----BEGIN PUBLIC KEY-----")
        and signing.fingerprint(key) == selectors.key_fingerprint()
    )


def test_page_never_creates_a_key(judged: Judged, page: str, client: Client) -> None:
    """A former defect: a page view created a new key when the file was missing.

    Later label sets then had another signature.
    """
    file = settings.HOME / "keys" / "signing.pem"
    moved = file.rename(file.with_name("away.pem"))  # keeps the mode of the file
    client.force_login(judged.admin)
    try:
        before = client.get(reverse("label-set-key", args=["parts"])).content
        assert client.get(page).status_code == 200 and not file.exists()
        draft = freeze(dataset=judged.dataset, user=judged.admin)
        with pytest.raises(SigningKeyError, match="missing"):
            write_label_set(label_set=draft, progress=ignore_progress)
        assert not file.exists()
    finally:
        moved.rename(file)
    assert client.get(reverse("label-set-key", args=["parts"])).content == before


def test_a_changed_file_is_refused_and_reported(judged: Judged, frozen: LabelSet, client: Client) -> None:
    client.force_login(judged.admin)
    url = reverse("label-set-download", args=["parts", 1])
    good = path_of(frozen).read_bytes()
    assert b"".join(client.get(url).streaming_content) == good
    path_of(frozen).write_bytes(good[:-1] + b"X")
    for _again in range(2):
        html = client.get(url, follow=True).content.decode()
        assert "its hash differs from the record" in html
    assert client.head(url).status_code == 302
    event = Event.objects.get(kind="label_set.file_changed")
    assert event.data["expected"] == frozen.sha256 and event.object_id == "v1"
    row = ChangedFile.objects.get()
    assert (row.object_id, row.expected, row.actual) == ("v1", frozen.sha256, event.data["found"])
    assert Event.objects.filter(kind="label_set.downloaded").count() == 1
    path_of(frozen).write_bytes(good)
    assert client.get(url).status_code == 200


def test_only_admins_freeze_and_strangers_get_404(
    judged: Judged, frozen: LabelSet, page: str, client: Client
) -> None:
    client.force_login(judged.reviewer)
    assert client.post(page, {}).status_code == 403
    assert client.post(reverse("label-set-retry", args=["parts", 1])).status_code == 403
    client.force_login(factories.UserFactory())
    for url in (
        page,
        reverse("label-set-download", args=["parts", 1]),
        reverse("label-set-key", args=["parts"]),
    ):
        assert client.get(url).status_code == 404
    assert LabelSet.objects.count() == 1


def test_dataset_without_labels_cannot_be_frozen(client: Client, db: None) -> None:
    admin = factories.UserFactory()
    dataset = factories.DatasetFactory(admin=admin)
    client.force_login(admin)
    html = client.get(reverse("exports", args=[dataset.slug])).content.decode()
    assert "nothing to freeze yet" in html
    answer = client.post(reverse("exports", args=[dataset.slug]), {})
    assert answer.status_code == 422 and not LabelSet.objects.exists()


def test_failed_freeze_shows_the_reason_and_can_be_retried(judged: Judged, page: str, client: Client) -> None:
    client.force_login(judged.admin)
    client.post(page, {"labels": "people", "note": ""})
    Job.objects.update(state=State.FAILED, error="The disk is full.")
    html = client.get(page).content.decode()
    assert "The disk is full." in html and "Try again" in html
    client.post(reverse("label-set-retry", args=["parts", 1]))
    assert Job.objects.filter(state=State.QUEUED).count() == 1


def test_download_of_a_missing_file_shows_a_message(judged: Judged, frozen: LabelSet, client: Client) -> None:
    path_of(frozen).unlink()
    client.force_login(judged.admin)
    answer = client.get(reverse("label-set-download", args=["parts", 1]), follow=True)
    assert answer.status_code == 200 and "not in the storage any more" in answer.content.decode()
    assert not Event.objects.filter(kind="label_set.downloaded").exists()


def test_unfrozen_label_set_cannot_be_downloaded(judged: Judged, page: str, client: Client) -> None:
    client.force_login(judged.admin)
    client.post(page, {"labels": "people"})
    assert client.get(reverse("label-set-download", args=["parts", 1])).status_code == 404


def test_page_makes_few_queries_for_many_label_sets(
    judged: Judged, page: str, client: Client, django_assert_max_num_queries
) -> None:
    for version in range(1, 41):
        LabelSet.objects.create(
            dataset=judged.dataset,
            version=version,
            created_by=judged.admin,
            job=factories.JobFactory(dataset=judged.dataset),
        )
    client.force_login(judged.admin)
    client.get(page)
    with django_assert_max_num_queries(16):
        html = client.get(page).content.decode()
    assert "Label set 40" in html and 'id="v15"' not in html
    assert 'id="v15"' in client.get(page + "?before=16").content.decode()
