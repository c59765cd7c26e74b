"""No page of a member shows what a reviewer must not know about an image of the audit reserve.

Every address of the site and every operation of the API is opened. No response may contain the name, the
metadata, the prediction or a decision of such an image. No response may change when those values change.
"""

import hashlib
import io
import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo

from mekiki.api.api import api
from mekiki.audit.models import Event
from mekiki.datasets import storage
from mekiki.datasets.importing.filling import fill_fields
from mekiki.datasets.models import Image, MetadataField, MetadataValue
from mekiki.exports.models import LabelSet, LabelSetEntry
from mekiki.learning.models import EncodingProblem, Prediction, TextEmbedding, TrainingRun
from mekiki.learning.search import texts
from mekiki.learning.services import store_embeddings
from mekiki.quality.models import Certificate, MachineLabel
from mekiki.review import services
from mekiki.review.models import Decision, Lease, QueueItem, Stream, WhyPanel
from tests.factories import (
    CertificateFactory,
    ChampionFactory,
    ConfirmedLabelFactory,
    DatasetFactory,
    EncoderFactory,
    HeadFactory,
    ImageFactory,
    JobFactory,
    LabelFactory,
    MembershipFactory,
    PredictionFactory,
    QueueItemFactory,
    UserFactory,
    picture,
)

pytestmark = pytest.mark.django_db

# Values that must not appear. EMBEDDED is written into the file itself.
NAME, FOLDER, VALUE, EMBEDDED = "wombatname", "wombatfolder", "wombatvalue", "wombatembedded"
SECRETS = (NAME, FOLDER, VALUE, EMBEDDED)
CONFIDENCE = 0.8765  # shown as 87.7 % or 88 %
# Addresses that a member may open and that contain such values on purpose. Each needs a reason.
ALLOWED = {
    "import-batch": "admins only: the report of an import names files",
    "import-report": "the same as a file",
}


class World:
    """Three images of the audit reserve (waiting, not drawn yet, flagged) next to ordinary images.

    A fourth secret image is drawn for the audit of a certificate. A certificate has set labels of all four.
    """

    def __init__(self, role: str = "reviewer") -> None:
        self.user, self.other = UserFactory(username="rita"), UserFactory(username="otto")
        self.dataset = DatasetFactory(slug="world", overlap=2, retrain_every=0)
        if role == "superuser":
            self.user.is_superuser = True
            self.user.save()
        else:
            MembershipFactory(dataset=self.dataset, user=self.user, role=role)
        MembershipFactory(dataset=self.dataset, user=self.other)
        self.labels = [LabelFactory(dataset=self.dataset, name=name) for name in ("good", "scratch", "dent")]
        self.encoder = EncoderFactory(dim=2)
        self.head = HeadFactory(dataset=self.dataset, encoder=self.encoder, calibrated=True)
        ChampionFactory(head=self.head)
        self.plain = [ImageFactory(dataset=self.dataset) for _ in range(6)]
        self.secret = [self.create_reserve_image(i) for i in range(3)]
        self.secret.append(self.create_reserve_image(3, audit_key=0.5))
        for key in ("weight", "width"):  # texts that are no numbers, and numbers
            MetadataField.objects.create(dataset=self.dataset, key=key, type="number", is_complete=False)
        fill_fields(self.dataset)
        images = self.plain + self.secret
        store_embeddings(
            encoder=self.encoder,
            image_ids=[image.pk for image in images],
            vectors=np.array([[np.cos(i / 9), np.sin(i / 9)] for i in range(len(images))]),
        )
        for image in self.plain:
            PredictionFactory(head=self.head, image=image, label=self.labels[0], runner_up=self.labels[1])
        for image in self.secret:
            PredictionFactory(
                head=self.head,
                image=image,
                label=self.labels[1],
                runner_up=self.labels[2],
                confidence=CONFIDENCE,
            )
        ConfirmedLabelFactory(dataset=self.dataset, image=self.plain[0], label=self.labels[0])
        QueueItemFactory(dataset=self.dataset, image=self.plain[1], head=self.head, overlap=1)
        self.items = items = [
            QueueItemFactory(dataset=self.dataset, image=image, stream=Stream.AUDIT, overlap=2)
            for image in (self.secret[0], self.secret[2])
        ]
        QueueItemFactory(dataset=self.dataset, image=self.secret[3], stream=Stream.CERTIFY, overlap=2)
        self.certify()
        # Another reviewer has given the first of two decisions and has flagged another image.
        for item, kind in zip(items, ("correct", "flag"), strict=True):
            self.answer(self.other, item, kind, "wombatnote" if kind == "flag" else "")
        now = timezone.now()
        TextEmbedding.objects.create(
            encoder=self.encoder,
            digest=texts.text_digest("scratch"),
            text="scratch",
            vector=[1.0, 0.0],
            used_at=now,
            answered_at=now,
        )
        self.run = TrainingRun.objects.create(dataset=self.dataset, trigger=TrainingRun.Trigger.BUTTON)
        self.job = JobFactory(dataset=self.dataset)
        EncodingProblem.objects.create(encoder=self.encoder, image=self.secret[1], reason="unreadable")
        self.label_set = self.freeze_label_set()
        # Panels that were opened before an image was drawn for the audit are refused later.
        self.panels = [
            WhyPanel.objects.create(user=self.user, image=image, head=self.head, label=self.labels[1])
            for image in (self.plain[1], *self.secret)
        ]
        self.client = Client(headers={"accept-language": "en"})
        self.client.force_login(self.user)

    def certify(self) -> None:
        """Set the labels of the secret images and of an ordinary image by a certificate."""
        certificate = CertificateFactory(
            dataset=self.dataset,
            version=1,
            head=self.head,
            state=Certificate.State.ACCEPTED,
            accepted_at=timezone.now(),
        )
        for image in (*self.secret, self.plain[4]):
            MachineLabel.objects.create(
                image=image,
                dataset=self.dataset,
                label=self.labels[1],
                certificate=certificate,
                confidence=CONFIDENCE if image in self.secret else 0.71,
            )

    def create_reserve_image(self, i: int, audit_key: float | None = None) -> Image:
        """Create an image of the audit reserve, with secret values in its name, metadata and file."""
        png_info, out = PngInfo(), io.BytesIO()
        png_info.add_text("Description", EMBEDDED)
        picture(9000 + i).save(out, "PNG", pnginfo=png_info)
        image = ImageFactory(
            dataset=self.dataset,
            sha256=hashlib.sha256(out.getvalue()).hexdigest(),
            name=f"{FOLDER}/{NAME}-{i}.png",
            metadata={"line": VALUE, "camera": "1", "weight": VALUE, "width": f"{i}.5"},
            audit_key=0.01 + i / 100 if audit_key is None else audit_key,
        )
        default_storage.save(
            storage.original_name(self.dataset.pk, image.sha256), ContentFile(out.getvalue())
        )
        return image

    def answer(self, user: Any, item: QueueItem, kind: str, note: str) -> Decision:
        leased = next(
            candidate
            for candidate in services.next_items(dataset=self.dataset, user=user, count=5)
            if candidate.item.pk == item.pk
        )
        return services.answer(
            dataset=self.dataset,
            user=user,
            item_id=item.pk,
            lease_id=leased.lease.pk,
            kind=kind,
            label=self.labels[2] if kind == "correct" else None,
            note=note,
            client_key=uuid.uuid4(),
        )

    def freeze_label_set(self) -> LabelSet:
        """Freeze a label set that holds the machine's label of a reserve image."""
        name = f"datasets/{self.dataset.pk}/label-sets/v1.zip"
        content = f"{NAME} {VALUE} scratch {CONFIDENCE}".encode()
        default_storage.save(name, ContentFile(content))
        label_set = LabelSet.objects.create(
            dataset=self.dataset, version=1, machine_threshold=0.5, machine_labels=1, human_labels=0
        )
        LabelSetEntry.objects.create(
            label_set=label_set,
            position=1,
            image_id=self.secret[1].pk,
            label_id=self.labels[1].pk,
            opinions=0,
            head_id=self.head.pk,
            confidence=CONFIDENCE,
        )
        LabelSet.objects.filter(pk=label_set.pk).update(
            state="frozen", file=name, size=len(content), sha256=hashlib.sha256(content).hexdigest()
        )
        return label_set

    def values(self) -> dict[str, list[Any]]:
        """Return the value for each argument of an address."""
        return {
            "slug": ["world"],
            "sha256": [
                self.secret[0].sha256,
                self.secret[1].sha256,
                self.secret[2].sha256,
                self.secret[3].sha256,
                self.plain[0].sha256,
            ],
            "panel": [panel.pk for panel in self.panels],
            "version": [1],
            "number": [1],
            "language": ["en"],
            "pk": [1, self.run.pk],
            "job_id": [self.job.pk],
            "user_id": [self.user.pk],
            "factor_id": [1],
            "account_id": [1],
            "encoder_id": [self.encoder.pk],
            "form": ["csv", "jsonl"],
            "key": ["MQ"],
            "token": ["a-b"],
            "item_id": [item.pk for item in self.items],
            "item": [item.pk for item in self.items],
            "decision": [1],
        }

    def addresses(self) -> Iterator[tuple[str, str]]:
        """Return (name of the pattern, address) of every address, once for each value of its arguments."""
        for name, arguments in routes(get_resolver().url_patterns):
            values = self.values()
            missing = set(arguments) - set(values)
            assert not missing, f"{name}: give this test a value for {missing}"
            for i in range(max([len(values[a]) for a in arguments], default=1)):
                yield (
                    name,
                    reverse(name, kwargs={a: values[a][min(i, len(values[a]) - 1)] for a in arguments}),
                )

    def search_addresses(self) -> list[str]:
        """Return the addresses of the gallery and the search with every filter."""
        label = str(self.labels[1].pk)
        filters = [
            *(f"label={label}", "low=80", "high=90", "low=80&high=90", "sort=sure", "sort=unsure"),
            *(f"metadata=line%3D{VALUE}", f"q={NAME}", f"q={FOLDER}", "waiting=audit", "waiting=waiting"),
            *("set_by=person", "set_by=nobody", "set_by=certificate-1", "waiting=certify"),
            *(f"confirmed={label}", "confirmed=none", "text=scratch", f"text=scratch&label={label}"),
            *(f"reviewer={self.other.pk}", f"reviewer={self.user.pk}", "since=2000-01-01", "batch=1"),
            f"metadata=line%3D{VALUE}&metadata=camera%3D1",
            *("from.width=0", "to.width=1", "unfit.weight=1"),
            *(f"like={image.sha256}" for image in (*self.secret, self.plain[0])),
            *(f"text=scratch&{name}={self.secret[0].sha256}" for name in ("more", "less")),
            f"like={self.plain[0].sha256}&less_text=scratch&more={self.plain[2].sha256}",
        ]
        search = reverse("api:image-search", args=["world"])
        facets = reverse("image-facets", args=["world"])
        # The facets use the filters of the gallery, so one of each kind is enough.
        counted = [f"label={label}", "low=80", f"metadata=line%3D{VALUE}", f"q={NAME}", f"confirmed={label}"]
        counted += [
            "from.width=1",
            "unfit.weight=1",
            "set_by=certificate-1",
            "waiting=audit",
            f"reviewer={self.user.pk}",
        ]
        return [
            *(f"{address}?{q}" for address in ("/d/world/images/", search) for q in filters),
            *(f"{facets}?{q}" for q in counted),
            f"{reverse('api:image-facet-counts', args=['world'])}?label={label}",
        ]

    def addresses_with_filters(self) -> Iterator[tuple[str, str]]:
        """Return the gallery and the search with every filter, and the pages of images that they lead to."""
        yield from (("images", url) for url in self.search_addresses())
        for image in (*self.secret, self.plain[0]):
            for query in (f"label={self.labels[1].pk}", "sort=sure", f"q={NAME}", "low=80"):
                yield "image", f"{reverse('image', args=['world', image.sha256])}?{query}"

    def pages(self, filters: bool = True) -> dict[str, bytes]:
        """Return the headers and body of every address that a member can read by GET."""
        responses = {}
        for name, url in (*self.addresses(), *(self.addresses_with_filters() if filters else ())):
            if name in ALLOWED or name in {"logout", "metrics"}:
                continue
            responses[url] = read(self.client.get(url))
        return responses


def routes(patterns: Any, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, f"{pattern.namespace}:" if pattern.namespace else prefix)
        elif isinstance(pattern, URLPattern) and pattern.name:
            name = f"{prefix}{pattern.name}"
            yield name, sorted(arguments_of(name))


def arguments_of(name: str) -> set[str]:
    """Return the arguments of an address with all its prefixes."""
    resolver = get_resolver()
    for part in name.split(":")[:-1]:
        _prefix, resolver = resolver.namespace_dict[part]
    possible = resolver.reverse_dict.getlist(name.split(":")[-1])
    arguments = set(possible[0][0][0][1])
    return arguments


def read(response: Any) -> bytes:
    body = b"".join(response.streaming_content) if response.streaming else response.content
    head = "\n".join(f"{name}: {value}" for name, value in response.items())
    return head.encode() + b"\n\n" + body


def leaks(responses: dict[str, bytes]) -> list[str]:
    """Return the addresses whose response contains a secret, with the secret."""
    secrets = [secret.encode() for secret in SECRETS] + [b"87.7", b"88 %", b"0.8765"]
    return [
        f"{url}: {secret.decode()}"
        for url, content in responses.items()
        for secret in secrets
        if secret in content.replace(url.encode(), b"").replace(typed_text(url), b"")
    ]


def typed_text(url: str) -> bytes:
    """ "Return the text that the user typed, which may be shown to the user again."""
    match = re.search(r"(?:q=|line%3D)(\w+)", url)
    return match[1].encode() if match else b"\0\0"


# A page without images: it shows when the browser of the reader was used last.
OF_THE_READER = {"/accounts/sessions/"}
CHANGING = re.compile(
    rb'name="(?:csrfmiddlewaretoken|client_key)" value="[^"]*"|"X-CSRFToken": "[^"]*"|Set-Cookie: [^\n]*'
    rb"|(?:Content-Length|Expires|Last-Modified): [^\n]*"
    rb'|nonce-[\w+/=-]+|nonce="[^"]*"|X-CSRFToken[^}]*|<meta name="csrf-token"[^>]*>'
    # How long ago something was, and whether a worker has read the prompts within a minute: a slow machine
    # needs more than a minute for all pages.
    rb'|title="[^"]*(?:just now| ago)"'
    rb'|(?:just now|\d+\xc2?\xa0?[^"<>]* ago)|"scores_(?:state|problem)": "[^"]*"'
    # These values are new at each request.
    rb'|data-options="[^"]*"|src="data:image/svg[^"]*"|<code>[A-Z2-7 ]+</code>|otpauth:[^"]*'
)


def assert_no_leak(responses: dict[str, bytes]) -> None:
    assert len(responses) > 60 and sum(b"<h1" in content for content in responses.values()) > 25
    assert leaks(responses) == []


@pytest.mark.parametrize("role", ["admin", "superuser"])
def test_no_address_shows_admins_values_of_the_audit_reserve(role: str) -> None:
    # A superuser is an admin of every dataset, and reads the pages of the platform as well.
    pages = World(role).pages(filters=role == "admin")
    # Admins may freeze a label set with the predictions of the reserve. The action is recorded.
    assert_no_leak({url: content for url, content in pages.items() if not url.endswith("/download/")})


def test_no_address_shows_reviewers_or_depends_on_values_of_the_audit_reserve() -> None:
    """Neither a position in an order, nor a count, nor a filter depends on the secret values."""
    world = World()
    before = world.pages()
    assert_no_leak(before)
    Image.objects.filter(pk__in=[image.pk for image in world.secret]).update(
        name="other.png", metadata={"camera": "2"}
    )
    MetadataValue.objects.filter(image__in=world.secret).update(number=7)
    Prediction.objects.filter(image__in=world.secret).update(
        label=world.labels[0], runner_up=world.labels[1], confidence=0.31
    )
    MachineLabel.objects.filter(image__in=world.secret).update(label=world.labels[0], confidence=0.31)
    after = world.pages()
    changed = {url for url in before if CHANGING.sub(b"", before[url]) != CHANGING.sub(b"", after[url])}
    assert changed - OF_THE_READER == set()


def operations() -> set[tuple[str, str]]:
    paths = api.get_openapi_schema()["paths"]
    return {(method, path) for path, methods in paths.items() for method in methods}


def test_no_api_operation_shows_values_of_the_audit_reserve() -> None:
    """Operations that change something are used as the station does. The addresses above cover the others."""
    world = World()
    base = reverse("api:review-next", args=["world"]).removesuffix("next")

    def post(action: str, **body: Any) -> tuple[Any, bytes]:
        response = world.client.post(base + action, json.dumps(body), content_type="application/json")
        return response.json(), read(response)

    responses: dict[str, bytes] = {}
    reply, responses["next"] = post("next", count=5)
    audit = next(item for item in reply["items"] if item["blind"])
    assert audit["image"]["name"] == f"image {world.secret[0].sha256[:8]}"
    assert audit["image"]["metadata"] == {} and audit["prediction"] is None
    lease, item = audit["lease"], audit["item"]
    _reply, responses["renew"] = post("renew", leases=[lease])
    _reply, responses["answer"] = post(
        "answer",
        item=item,
        lease=lease,
        kind="skip",
        client_key=str(uuid.uuid4()),
    )
    responses["station after"] = read(world.client.get("/d/world/review/"))
    reply, responses["undo"] = post("undo", client_key=str(uuid.uuid4()))
    assert reply["item"]["blind"] and reply["item"]["image"]["metadata"] == {}
    _reply, responses["release"] = post("release", leases=[reply["item"]["lease"]])
    # The other reviewer gives the only image back that is not blind.
    Lease.objects.filter(user=world.other).update(ended_at=timezone.now())
    page, responses["grid/next"] = post("grid/next", count=6)
    assert [tile["image"]["sha256"] for tile in page["tiles"]] == [world.plain[1].sha256]
    assert [label["waiting"] for label in page["labels"]] == [1]
    tile = {"item": page["tiles"][0]["item"], "lease": page["tiles"][0]["lease"], "kind": "confirm"}
    audit = {"item": item, "lease": lease, "kind": "skip"}
    body = {"page": str(uuid.uuid4()), "milliseconds": 1000, "tiles": [tile, audit]}
    reply, responses["grid/answer"] = post("grid/answer", **body)
    assert [result["code"] for result in reply["tiles"]] == ["", "blind"]
    responses["grid after"] = read(world.client.get("/d/world/review/grid/"))
    _reply, responses["grid/undo"] = post("grid/undo", client_key=str(uuid.uuid4()))
    # An image on a page of the grid has no panel Why.
    Lease.objects.update(ended_at=timezone.now())
    for image, panel in zip((world.plain[1], *world.secret), world.panels, strict=True):
        for address in (f"images/{image.sha256}/why", f"why/{panel.pk}/heat-map"):
            response = world.client.post(
                f"/api/v1/datasets/world/{address}", "{}", content_type="application/json"
            )
            responses[f"{address} {image.pk}"] = read(response)
            is_blind = image != world.plain[1]
            assert response.status_code == (409 if is_blind else 200), response.content
            assert not is_blind or response.json()["code"] == "blind"
    assert leaks(responses) == []
    writing = {path for method, path in operations() if method == "post" and "/review/" in path}
    assert {path.partition("/review/")[2] for path in writing} == {
        *("next", "renew", "answer", "undo", "release"),
        *("grid/next", "grid/answer", "grid/undo"),
        *("history/correct", "preferences"),  # tests/review/test_own_corrections.py; no image
    }
    others = {path for method, path in operations() if method == "post"} - writing
    # tests/api/test_adjudication_api.py rules on a blind image. Settings of the overlap show no image.
    others = {path for path in others if "/adjudication/" not in path and not path.endswith("/overlap")}
    # Acts on members, assignments and certificates show no image. A study has no image of the audit sample.
    allowed = (
        *("/encoder/", "/cancel", "/why", "/heat-map", "/assignments", "/reviewers/", "/studies/"),
        "/certificates/",
        *("/views", "/images/acts"),  # names of views and numbers of images (tests/web/test_gallery_acts.py)
        *("/imports", "/watched-folders", "/jobs/"),  # acts on imports and jobs show no image
        # Acts on whole datasets (tests/api/test_lifecycle_api.py).
        *("/datasets/{slug}/archive", "/datasets/{slug}/delete", "/archived-datasets/"),
    )
    assert all(any(part in path for part in allowed) for path in others), others


def test_events_of_the_reserve_name_no_file() -> None:
    world = World("admin")
    flag = Decision.objects.get(kind="flag")
    address = reverse("review-queue-act", args=["world"])
    response = world.client.post(address, {"one": f"return:{flag.pk}"}, follow=True)
    assert "1 image was returned to the start of the queue" in response.content.decode()
    assert leaks({"put-back": read(response), "activity": read(world.client.get("/d/world/activity/"))}) == []
    assert not Event.objects.filter(data__icontains=NAME).exists()


@pytest.mark.parametrize("variant", ["display", "original"])
def test_delivered_file_has_no_embedded_text(variant: str) -> None:
    world = World()
    response = world.client.get(reverse(f"image-{variant}", args=["world", world.secret[1].sha256]))
    if variant == "original":
        assert response.status_code == 403
        return
    body = read(response)
    assert EMBEDDED.encode() not in body
    image = PillowImage.open(io.BytesIO(body.partition(b"\n\n")[2]))
    assert image.convert("RGB").tobytes() == picture(9001).tobytes()
