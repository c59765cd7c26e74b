"""Addresses of datasets: readable in any script, changed later, never given to another dataset."""

import threading
from io import StringIO

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from mekiki.audit.models import Event
from mekiki.datasets import services, slugs
from mekiki.datasets.models import Dataset, DatasetAddress
from tests.factories import DatasetFactory, ImageFactory, UserFactory

HOSTILE = [
    "",
    " ",
    "a\0b",
    "../..",
    "a/b",
    "<script>",
    "a" * 61,
    "-a",
    "a-",
    "a b",
    "傷",
    "a\nb",
    "A\u212a%",
    "null%00",
]


def client_of(user) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("検査", "kensa"),
        ("傷の検査", "kizu-no-kensa"),
        ("ライン３ ブラケット", "line-3-bracket"),
        ("ﾗｲﾝ3", "line-3"),
        ("溶接部の外観検査", "yousetsu-bu-no-gaikan-kensa"),
        ("Line 3, brackets", "line-3-brackets"),
        ("Größe", "grosse"),
        ("Проверка", "proverka"),
        ("한국어", "hangugeo"),
        ("检查", "jiancha"),
        ("検査 Проверка", "kensa-proverka"),
        ("new", "new-dataset"),
        ("…!?", ""),
        ("\0\n\u200b", ""),
        ("傷" * 200, None),
        ("x" * 10_000, "x" * 50),
    ],
)
def test_an_address_is_readable_in_any_script(name: str, slug: str | None) -> None:
    address = slugs.slug_from_name(name)
    assert address == slug or (slug is None and address)
    assert len(address) <= 58 and (not address or slugs._WELL_FORMED.fullmatch(address))


@pytest.mark.django_db
def test_a_japanese_name_gives_a_japanese_address_in_the_browser() -> None:
    user = UserFactory(may_create_datasets=True)
    client = client_of(user)
    form = {"name": "傷の検査", "encoder_name": "pocket"}
    suggested = client.get(reverse("dataset-suggest-address"), {"name": "傷の検査"}).json()["slug"]
    assert suggested == "kizu-no-kensa"
    assert client.post(reverse("dataset-create"), form)["Location"] == "/d/kizu-no-kensa/labels/"
    assert (
        client.get(reverse("dataset-suggest-address"), {"name": "傷の検査"}).json()["slug"]
        == "kizu-no-kensa-2"
    )
    assert client.post(reverse("dataset-create"), form)["Location"] == "/d/kizu-no-kensa-2/labels/"
    answer = client.post(reverse("dataset-create"), {**form, "slug": "Kizu-A"})
    assert answer["Location"] == "/d/kizu-a/labels/"
    refused = client.post(reverse("dataset-create"), {**form, "slug": "kizu-a"})
    assert "slug" in refused.context["form"].errors


@pytest.mark.django_db
def test_suggestions_need_the_right_to_create_datasets() -> None:
    address = reverse("dataset-suggest-address")
    assert client_of(UserFactory()).get(address, {"name": "x"}).status_code == 403
    assert Client().get(address).status_code == 302
    client = client_of(UserFactory(may_create_datasets=True))
    for name in ("", "\0", "%", "x" * 9000, "傷\u202e"):
        assert client.get(address, {"name": name}).status_code == 200


@pytest.mark.django_db
def test_old_addresses_redirect_members_to_the_new_address() -> None:
    admin, viewer = UserFactory(), UserFactory()
    dataset = DatasetFactory(slug="dataset-2", admin=admin, viewer=viewer)
    image = ImageFactory(dataset=dataset)
    client = client_of(admin)
    answer = client.post(reverse("dataset-address", args=["dataset-2"]), {"address-slug": "kizu"})
    assert answer["Location"] == "/d/kizu/settings/"
    old = client_of(viewer)
    assert old.get("/d/dataset-2/images/?sort=low&q=a%20b")["Location"] == "/d/kizu/images/?sort=low&q=a%20b"
    assert old.get(f"/d/dataset-2/images/{image.sha256}/").status_code == 302
    assert client_of(UserFactory()).get("/d/dataset-2/").status_code == 404, "a stranger gets 404"
    posted = client.post("/d/dataset-2/settings/", {"name": "x"})
    assert (posted.status_code, posted["Location"]) == (307, "/d/kizu/settings/")
    api = client.post("/api/v1/datasets/dataset-2/review/next", content_type="application/json", data="{}")
    assert (api.status_code, api["Location"]) == (307, "/api/v1/datasets/kizu/review/next")
    assert Event.objects.get(kind="dataset.address_changed").data == {"from": "dataset-2", "to": "kizu"}
    # A dataset may change back to its own former address, which no other dataset can take.
    other = DatasetFactory(slug="other", admin=admin)
    with pytest.raises(ValidationError):
        services.change_address(dataset=other, user=admin, slug="dataset-2")
    services.change_address(dataset=dataset, user=admin, slug="dataset-2")
    assert old.get("/d/kizu/")["Location"] == "/d/dataset-2/"


@pytest.mark.django_db
def test_only_admins_of_the_dataset_change_its_address() -> None:
    admin, reviewer = UserFactory(), UserFactory()
    dataset = DatasetFactory(slug="parts", admin=admin, reviewer=reviewer)
    assert client_of(reviewer).post("/d/parts/settings/address/", {"address-slug": "mine"}).status_code == 403
    assert (
        client_of(UserFactory()).post("/d/parts/settings/address/", {"address-slug": "mine"}).status_code
        == 404
    )
    assert client_of(admin).get("/d/parts/settings/address/").status_code == 405
    with pytest.raises(PermissionDenied):
        services.change_address(dataset=dataset, user=reviewer, slug="mine")


@pytest.mark.django_db
@pytest.mark.parametrize("slug", [*HOSTILE, "api", "taken", "formerly"])
def test_invalid_addresses_are_refused(slug: str) -> None:
    admin = UserFactory()
    DatasetFactory(slug="formerly")
    other = Dataset.objects.get(slug="formerly")
    other.slug = "taken"
    other.save()
    dataset = DatasetFactory(slug="parts", admin=admin)
    answer = client_of(admin).post("/d/parts/settings/address/", {"address-slug": slug})
    assert answer.status_code == 422
    dataset.refresh_from_db()
    assert dataset.slug == "parts" and not Event.objects.filter(kind="dataset.address_changed").exists()


@pytest.mark.django_db
def test_database_refuses_the_second_use_of_an_address() -> None:
    first = DatasetFactory(slug="first")
    Dataset.objects.filter(pk=first.pk).update(slug="moved")
    for act in (
        lambda: DatasetFactory(slug="first"),
        lambda: Dataset.objects.filter(pk=DatasetFactory().pk).update(slug="first"),
        lambda: DatasetAddress.objects.create(slug="moved", dataset=first),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            act()
    assert services.create_dataset(name="First", user=UserFactory(is_superuser=True)).slug == "first-2"


@pytest.mark.django_db
def test_commands_accept_a_former_address(tmp_path) -> None:
    dataset = DatasetFactory(slug="first")
    Dataset.objects.filter(pk=dataset.pk).update(slug="moved")
    output = StringIO()
    call_command("import", "first", str(tmp_path), stdout=output)
    assert "queued" in output.getvalue()


@pytest.mark.django_db(transaction=True)
def test_concurrent_changes_give_an_address_to_one_dataset() -> None:
    admin = UserFactory(is_superuser=True)
    datasets = [DatasetFactory(), DatasetFactory()]
    barrier, outcomes = threading.Barrier(2), []

    def move(dataset: Dataset) -> None:
        try:
            barrier.wait()
            services.change_address(dataset=dataset, user=admin, slug="wanted")
            outcomes.append("moved")
        except ValidationError as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=move, args=[dataset]) for dataset in datasets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["address_taken", "moved"]
