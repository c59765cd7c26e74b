"""The encoder's page and API: permissions, allowed names, and two requests at once."""

import threading
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from mekiki.audit.models import Event
from mekiki.datasets.models import Dataset
from mekiki.jobs.models import Job, Kind, State
from mekiki.labeling.models import Prompt, PromptSet
from mekiki.learning.encoder_names import checked_encoder, folder_names
from mekiki.learning.models import Embedding, EncoderChange, LongPrompt
from mekiki.learning.selectors import encoder_in_use
from mekiki.learning.services import (
    cancel_change,
    record_all_lost_jobs,
    report_difference,
    report_worker,
    request_change,
    request_revert,
    request_switch,
    withdraw_difference,
)
from tests.factories import (
    ChampionFactory,
    DatasetFactory,
    EncoderFactory,
    HeadFactory,
    ImageFactory,
    LabelFactory,
    PromptSetFactory,
    UserFactory,
)
from tests.roles import as_owner

S = EncoderChange.State
WANTED = "ViT-B-32-256/datacomp_s34b_b86k"


def make_people() -> dict[str, Any]:
    return {name: UserFactory(username=name) for name in ("admin", "reviewer", "viewer", "stranger")}


@pytest.fixture
def people(db: None) -> dict[str, Any]:
    return make_people()


@pytest.fixture
def dataset(people: dict[str, Any]) -> Dataset:
    """Create one image, embedded by two encoders. The first encoder is in use."""
    dataset = DatasetFactory(
        admin=people["admin"], reviewer=people["reviewer"], viewer=people["viewer"], slug="parts"
    )
    LabelFactory(dataset=dataset)
    head = HeadFactory(dataset=dataset)
    ChampionFactory(head=head)
    image = ImageFactory(dataset=dataset)
    for encoder in (head.encoder, EncoderFactory(name="old", dim=4)):
        Embedding.objects.create(encoder_id=encoder.pk, image_id=image.pk, vector=[1, 0, 0, 0])
    return dataset


def client_of(user: Any) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    return client


def make_ready_change(dataset: Dataset, user: Any) -> EncoderChange:
    """Create a change whose preparation has succeeded."""
    change = request_change(dataset=dataset, name=WANTED, user=user)
    head = HeadFactory(dataset=dataset, encoder=EncoderFactory(name=WANTED))
    Job.objects.filter(pk=change.job.pk).update(state=State.SUCCEEDED)  # type: ignore[union-attr]
    EncoderChange.objects.filter(pk=change.pk).update(
        state=S.READY,
        to_encoder=head.encoder,
        to_head=head,
        facts={
            "embedded": 1,
            "embed_seconds": 3.2,
            "context_length": 77,
            "unreadable": 0,
        },
        comparison={
            "old_head": 1,
            "new_head": 2,
            "new_kind": "logistic",
            "changed": 1,
            "images": 1,
            "audit": {
                "n": 40,
                "only_old": 1,
                "only_new": 5,
                "old": {"correct": 30, "n": 40, "low": 0.598, "high": 0.858},
                "new": {"correct": 34, "n": 40, "low": 0.709, "high": 0.929},
            },
            "reviewed": {
                "n": 120,
                "old": None,
                "new": {
                    "agreement": 0.8,
                    "log_loss": 0.51,
                    "prompts_agreement": 0.6,
                    "prompts_log_loss": 0.9,
                },
            },
        },
    )
    label = LabelFactory(dataset=dataset, name="=傷")
    with transaction.atomic():
        prompts = PromptSet.objects.create(dataset=dataset, version=9, digest="9")
        prompt = Prompt.objects.create(prompt_set=prompts, label=label, text="<b>long</b>", position=1)
    LongPrompt.objects.create(encoder=head.encoder, prompt=prompt, tokens=92, context=77)
    change.refresh_from_db()
    return change


def action_requests(dataset: Dataset, change: EncoderChange) -> list[tuple[str, dict[str, Any]]]:
    other = Embedding.objects.get(encoder__name="old").encoder_id
    return [
        (reverse("encoder-change", args=[dataset.slug]), {"name": "pocket+onnx"}),
        (reverse("encoder-switch", args=[dataset.slug, change.pk]), {}),
        (reverse("encoder-take-back", args=[dataset.slug, change.pk]), {}),
        (reverse("encoder-cancel", args=[dataset.slug, change.pk]), {}),
        (reverse("encoder-remove", args=[dataset.slug, other]), {}),
    ]


def test_only_admins_act_members_read_and_strangers_get_404(dataset: Dataset, people: dict[str, Any]) -> None:
    change = make_ready_change(dataset, people["admin"])
    page = reverse("encoder", args=[dataset.slug])
    api = f"/api/v1/datasets/{dataset.slug}/encoder"
    assert Client().get(page)["location"].startswith("/accounts/login")
    for name in ("reviewer", "viewer"):
        text = client_of(people[name]).get(page).content.decode()
        assert "Switch over" not in text and "85.0 %" in text
        assert client_of(people[name]).get(api).json()["changes"][0]["to_name"] == WANTED
        for url, body in action_requests(dataset, change):
            assert client_of(people[name]).post(url, body).status_code == 403, url
    assert client_of(people["stranger"]).get(page).status_code == 404
    assert client_of(people["stranger"]).get(api).status_code == 404
    for url, body in action_requests(dataset, change):
        assert client_of(people["stranger"]).post(url, body).status_code == 404, url
        assert client_of(people["admin"]).get(url).status_code == 405, url
    unknown = EncoderFactory().pk  # has embedded no image of this dataset
    for name, numbers in (("encoder-switch", (10**30, change.pk + 1)), ("encoder-remove", (10**30, unknown))):
        for number in numbers:
            url = reverse(name, args=[dataset.slug, number])
            assert client_of(people["admin"]).post(url).status_code == 404, url
    elsewhere = DatasetFactory(admin=people["admin"])
    assert (
        client_of(people["admin"])
        .post(reverse("encoder-switch", args=[elsewhere.slug, change.pk]))
        .status_code
        == 404
    )
    change.refresh_from_db()
    assert change.state == S.READY and not Job.objects.filter(state=State.QUEUED).exists()
    for act in (request_switch, request_revert, cancel_change):
        with pytest.raises(PermissionDenied):
            act(change=change, user=people["reviewer"])


def test_comparison_distinguishes_accuracy_from_agreement(dataset: Dataset, people: dict[str, Any]) -> None:
    make_ready_change(dataset, people["admin"])
    page = client_of(people["admin"]).get(reverse("encoder", args=[dataset.slug])).content.decode()
    assert "75.0 %" in page and "59.8 % to 85.8 %" in page and "70.9 % to 92.9 %" in page
    assert "They do not estimate the accuracy" in page and "no longer there" in page
    assert "92 tokens, 77 are read" in page and "&lt;b&gt;long" in page
    labels = client_of(people["admin"]).get(reverse("labels", args=[dataset.slug])).content.decode()
    assert "92 tokens, 77 are read" in labels and WANTED in labels
    overview = client_of(people["viewer"]).get(reverse("overview", args=[dataset.slug])).content.decode()
    assert f"The encoder {WANTED} is ready" in overview
    for name in ("models", "dataset-settings"):
        text = client_of(people["admin"]).get(reverse(name, args=[dataset.slug])).content.decode()
        assert reverse("encoder", args=[dataset.slug]) in text


def test_encoder_is_chosen_and_switched_by_forms(dataset: Dataset, people: dict[str, Any]) -> None:
    client = client_of(people["admin"])
    page = reverse("encoder", args=[dataset.slug])
    text = client.get(page).content.decode()
    assert WANTED in text and "recommended here" in text and "No worker has reported" in text
    assert client.post(reverse("encoder-change", args=["parts"]), {"name": WANTED})["location"] == page
    change = EncoderChange.objects.get()
    assert (change.state, change.from_name, change.to_name) == (S.PREPARING, "pocket", WANTED)
    assert Job.objects.get().payload == {"change": change.pk, "act": "prepare", "encoder": WANTED}
    text = client.get(page).content.decode()
    assert "being prepared" in text and "data-job=" in text and "Prepare another" not in text
    assert client.post(reverse("encoder-change", args=["parts"]), {"name": "pocket+int8"}).status_code == 422
    client.post(reverse("encoder-cancel", args=["parts", change.pk]))
    change.refresh_from_db()
    assert change.state == S.CANCELLED
    change = make_ready_change(dataset, people["admin"])
    client.post(reverse("encoder-switch", args=["parts", change.pk]))
    change.refresh_from_db()
    assert change.state == S.SWITCHING and Job.objects.get(state=State.QUEUED).payload["act"] == "switch"
    client.post(reverse("encoder-switch", args=["parts", change.pk]))
    assert Job.objects.filter(state=State.QUEUED).count() == 1
    assert {e.kind for e in Event.objects.filter(kind__startswith="encoder.")} == {
        "encoder.change_requested",
        "encoder.change_cancelled",
        "encoder.switch_requested",
    }


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "pocket",  # in use
        "x" * 100_000,
        "made up",
        "../../etc/passwd",
        "local-dir:/etc",
        "local-dir:/root/.ssh",
        "local-dir:relative",
        "local-dir:{home}/models/../keys",
        "local-dir:{home}/modelsand",
        "local-dir:{home}/keys",
        "hf-hub:../../x",
        "pocket\0",
        "pocket\u202e",
        "<script>alert(1)</script>/x",
        "'; DROP TABLE learning_encoder; --/x",
        "file:///etc/passwd",
        "https://example.com/model",
        "pocket+int4",
    ],
)
def test_hostile_names_change_nothing(
    dataset: Dataset, people: dict[str, Any], settings: Any, name: str
) -> None:
    client, name = client_of(people["admin"]), name.format(home=settings.HOME) if "{" in name else name
    reply = client.post(reverse("encoder-change", args=["parts"]), {"name": name})
    assert reply.status_code == 422 and b"<script>alert" not in reply.content
    api = client.post(
        "/api/v1/datasets/parts/encoder/changes", {"name": name}, content_type="application/json"
    )
    assert api.status_code == 422 and api.json()["detail"]
    assert not EncoderChange.objects.exists() and not Job.objects.exists()
    create = client.post(
        reverse("dataset-create"), {"name": "N", "encoder_name": "other", "other_encoder": name or " "}
    )
    if name != "pocket":
        assert create.status_code in {200, 403} and Dataset.objects.count() == 1


def test_folders_and_sources_are_limited_by_the_settings(settings: Any, tmp_path: Any) -> None:
    settings.MODEL_FOLDERS = [tmp_path / "models", tmp_path / "allowed"]
    (tmp_path / "models" / "good").mkdir(parents=True)
    (tmp_path / "models" / "good" / "open_clip_config.json").write_text("{}")
    (tmp_path / "models" / "empty").mkdir()
    good = f"local-dir:{tmp_path}/models/good"
    assert folder_names() == [good]
    for name in (good, f"{good}+int8", f"local-dir:{tmp_path}/allowed/x", f"local-dir:{tmp_path}/allowed"):
        assert checked_encoder(name).name == name
    for name in (
        f"local-dir:{tmp_path}",
        f"local-dir:{tmp_path}/allowedx",
        f"local-dir:{tmp_path}/models//../x",
    ):
        with pytest.raises(ValidationError):
            checked_encoder(name)
    assert checked_encoder("hf-hub:timm/ViT-B-16-SigLIP2").kind == "hub"
    settings.ENCODER_SOURCES = ["none"]
    for name in ("hf-hub:timm/ViT-B-16-SigLIP2", WANTED):
        with pytest.raises(ValidationError) as refused:
            checked_encoder(name)
        assert refused.value.code == "source_not_allowed"
    assert checked_encoder("pocket").kind == "pocket" and checked_encoder(good)


def test_new_dataset_stores_the_chosen_encoder(people: dict[str, Any], settings: Any, db: None) -> None:
    boss = UserFactory(is_superuser=True)
    client, url = client_of(boss), reverse("dataset-create")
    page = client.get(url).content.decode()
    assert "stays the same for the life" not in page and WANTED in page
    client.post(url, {"name": "One", "encoder_name": WANTED})
    client.post(url, {"name": "Two", "encoder_name": "other", "other_encoder": "hf-hub:a/b"})
    client.post(url, {"name": "Three", "encoder_name": "pocket", "other_encoder": ""})
    names = dict(Dataset.objects.values_list("name", "encoder_name"))
    assert names == {"One": WANTED, "Two": "hf-hub:a/b", "Three": "pocket"}
    assert client.post(url, {"name": "Four", "encoder_name": "other", "other_encoder": ""}).status_code == 200
    assert Dataset.objects.count() == 3


def test_encoder_order_follows_worker_reports_and_prompts(dataset: Dataset, people: dict[str, Any]) -> None:
    client, url = client_of(people["viewer"]), reverse("encoder", args=["parts"])

    def first() -> str:
        return client.get(url).context["recommended"][0]["item"].name

    assert first() == WANTED
    report_worker(host="line-3", device="cuda", gpu="NVIDIA L4", memory=64 * 2**30, cpus=8)
    assert first() == "ViT-B-16-SigLIP2/webli"
    assert "NVIDIA L4" in client_of(people["admin"]).get(url).content.decode()
    with as_owner(triggers=False):
        PromptSetFactory(dataset=dataset).prompts.all().delete()
    Prompt.objects.create(
        prompt_set=PromptSet.objects.get(version=2), label=dataset.labels.get(), text="表面の傷", position=1
    )
    assert first().startswith("xlm-roberta")
    report_worker(host="line-3", device="cpu")
    assert client.get(url).context["device"] == "cpu", "a machine is known by its newest report"


def test_dataset_has_at_most_one_open_change(dataset: Dataset, people: dict[str, Any]) -> None:
    request_change(dataset=dataset, name=WANTED, user=people["admin"])
    with pytest.raises(IntegrityError), transaction.atomic():
        EncoderChange.objects.create(dataset=dataset, from_name="a", to_name="b", state=S.READY)
    EncoderChange.objects.create(dataset=dataset, from_name="a", to_name="b", state=S.FAILED)
    with pytest.raises(IntegrityError), transaction.atomic():
        EncoderChange.objects.create(dataset=dataset, from_name="a", to_name="b", state="odd")


def test_job_that_ended_silently_does_not_block_a_new_change(
    dataset: Dataset, people: dict[str, Any]
) -> None:
    change = request_change(dataset=dataset, name=WANTED, user=people["admin"])
    Job.objects.update(state=State.FAILED, error="The worker died each time it was tried.")
    record_all_lost_jobs()
    change.refresh_from_db()
    assert change.state == S.FAILED and "died" in change.error
    assert "died" in client_of(people["admin"]).get(reverse("encoder", args=["parts"])).content.decode()
    change = request_change(dataset=dataset, name=WANTED, user=people["admin"])
    Job.objects.filter(state=State.QUEUED).update(state=State.CANCELLED)
    again = request_change(dataset=dataset, name=WANTED, user=people["admin"])
    change.refresh_from_db()
    assert (change.state, again.state) == (S.CANCELLED, S.PREPARING)


@pytest.mark.django_db(transaction=True)
def test_only_one_of_simultaneous_changes_is_accepted(transactional_db: None) -> None:
    admin = UserFactory()
    dataset = DatasetFactory(admin=admin)
    outcomes: list[str] = []
    start = threading.Barrier(4)

    def request_in_thread(name: str) -> None:
        try:
            start.wait()
            request_change(dataset=dataset, name=name, user=admin)
            outcomes.append("begun")
        except ValidationError as error:
            outcomes.append(str(error.code))
        finally:
            connection.close()

    threads = [threading.Thread(target=request_in_thread, args=[f"hf-hub:a/m{n}"]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["begun", *["change_open"] * 3]
    assert EncoderChange.objects.count() == Job.objects.filter(kind=Kind.CHANGE_ENCODER).count() == 1

    change = EncoderChange.objects.get()
    Job.objects.update(state=State.SUCCEEDED)
    EncoderChange.objects.update(state=S.READY)
    outcomes.clear()
    start = threading.Barrier(2)

    def act_in_thread(service: Any) -> None:
        try:
            start.wait()
            service(change=change, user=admin)
            outcomes.append(service.__name__)
        except ValidationError:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [
        threading.Thread(target=act_in_thread, args=[service]) for service in (request_switch, cancel_change)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    change.refresh_from_db()
    # If giving up comes first, there is nothing to switch. If switching comes first, the switch is stopped.
    # The change is then ready or given up.
    assert change.state in {S.CANCELLED, S.READY}
    assert Job.objects.filter(state=State.QUEUED).count() == 0


def test_api_performs_the_same_steps(dataset: Dataset, people: dict[str, Any]) -> None:
    client, base = client_of(people["admin"]), "/api/v1/datasets/parts/encoder"
    reply = client.get(base).json()
    assert reply["name"] == "pocket" and reply["in_use"]["embedded"] == 1
    assert [encoder_row["name"] for encoder_row in reply["kept"]] == ["old"]
    created = client.post(f"{base}/changes", {"name": WANTED}, content_type="application/json")
    assert created.status_code == 202 and created.json()["state"] == "preparing"
    pk = created.json()["id"]
    assert client.post(f"{base}/changes/{pk}/switch").status_code == 422
    assert client.post(f"{base}/changes/{pk}/take-back").json()["code"] == "cannot_take_back"
    assert client.post(f"{base}/changes/{pk}/cancel").json()["state"] == "cancelled"
    kept_id = reply["kept"][0]["id"]
    assert client.post(f"{base}/embeddings/{reply['in_use']['id']}/remove").json()["code"] == "needed"
    job = client.post(f"{base}/embeddings/{kept_id}/remove").json()["job"]
    assert Job.objects.get(pk=job).kind == Kind.REMOVE_EMBEDDINGS
    assert client.post(f"{base}/changes", {}, content_type="application/json").status_code == 422
    assert client.post(f"{base}/changes", "{", content_type="application/json").status_code == 400


def test_the_number_of_queries_does_not_grow(
    dataset: Dataset, people: dict[str, Any], django_assert_max_num_queries: Any
) -> None:
    for number in range(8):
        EncoderChange.objects.create(dataset=dataset, from_name="a", to_name=f"b{number}", state=S.FAILED)
    client = client_of(people["admin"])
    with django_assert_max_num_queries(40):
        client.get(reverse("encoder", args=["parts"]))


def test_admins_read_which_worker_differs(dataset: Dataset, people: dict[str, Any], client: Client) -> None:
    encoder = encoder_in_use(dataset)
    assert encoder is not None
    Dataset.objects.filter(pk=dataset.pk).update(encoder_name=encoder.name)
    facts = {"processor": "<b>Haswell</b>", "cosine": 0.47163, "least": 0.999}
    report_difference(encoder=encoder, host="<i>line-3</i>", **facts)
    report_difference(encoder=encoder, host="<i>line-3</i>", **facts | {"cosine": 0.4521})
    report_difference(encoder=EncoderFactory(name="of another dataset"), host="line-9", **facts)
    pages = {}
    for language in ("en", "ja"):
        admin = people["admin"]
        admin.language = language
        admin.save()
        client.force_login(admin)
        pages[language] = client.get(reverse("encoder", args=["parts"])).content.decode()
    for page in pages.values():
        assert page.count("&lt;i&gt;line-3&lt;/i&gt;") == 1 and "line-9" not in page
        assert "0.4521" in page and "0.999" in page and "&lt;b&gt;Haswell" in page
    assert "It embeds nothing." in pages["en"] and "computes other vectors" not in pages["ja"]
    client.force_login(people["viewer"])
    assert "line-3" not in client.get(reverse("encoder", args=["parts"])).content.decode()
    withdraw_difference(encoder=encoder, host="<i>line-3</i>")
    client.force_login(people["admin"])
    assert "line-3" not in client.get(reverse("encoder", args=["parts"])).content.decode()
