"""Factories of objects for tests.

Objects are valid by default and saved through the ORM, so that a test can set up any state quickly.
`DatasetFactory(admin=user)` and the like give roles. `ImageFactory(stored=True)` stores a real small PNG.
"""

import hashlib
import io
import uuid
from datetime import timedelta
from typing import Any

import factory
from django.contrib.auth.hashers import make_password
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone
from PIL import Image as PillowImage
from PIL import ImageDraw

from mekiki.accounts.models import Membership, Role, User
from mekiki.datasets.models import Dataset, Image
from mekiki.jobs.models import Job, Kind, State
from mekiki.labeling.models import Label, Prompt, PromptSet
from mekiki.learning.models import Champion, Encoder, Evaluation, Head, Prediction, TrainingRun
from mekiki.learning.services import open_predictions
from mekiki.quality.models import Certificate, CertificatePlan, CertificateStream
from mekiki.review.models import ConfirmedLabel, Decision, QueueItem, Stream
from tests.roles import set_fixed

PASSWORD = "a long enough password"
# Hashing is slow by design, so the hash is computed once.
_HASHED = make_password(PASSWORD)


class UserFactory(factory.django.DjangoModelFactory):
    """A user whose password is PASSWORD."""

    class Meta:
        model = User

    username = factory.Sequence(lambda n: f"user{n}")
    password = _HASHED


class MembershipFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Membership

    user = factory.SubFactory(UserFactory)
    dataset = factory.SubFactory("tests.factories.DatasetFactory")
    role = Role.REVIEWER


class DatasetFactory(factory.django.DjangoModelFactory):
    """A dataset. `admin=`, `reviewer=` and `viewer=` make the user a member."""

    class Meta:
        model = Dataset
        skip_postgeneration_save = True

    slug = factory.Sequence(lambda n: f"dataset-{n}")
    name = factory.LazyAttribute(lambda o: o.slug.replace("-", " ").capitalize())
    # New datasets use it (test_local_detail.py); most tests save its time.
    use_detail = False

    @factory.post_generation
    def admin(self, create: bool, user: Any, **kwargs: Any) -> None:
        if user:
            MembershipFactory(dataset=self, user=user, role=Role.ADMIN)

    @factory.post_generation
    def reviewer(self, create: bool, user: Any, **kwargs: Any) -> None:
        if user:
            MembershipFactory(dataset=self, user=user, role=Role.REVIEWER)

    @factory.post_generation
    def viewer(self, create: bool, user: Any, **kwargs: Any) -> None:
        if user:
            MembershipFactory(dataset=self, user=user, role=Role.VIEWER)


class LabelFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Label

    dataset = factory.SubFactory(DatasetFactory)
    name = factory.Sequence(lambda n: f"label {n}")
    position = factory.LazyAttribute(lambda o: Label.objects.filter(dataset=o.dataset).count() + 1)


class PromptSetFactory(factory.django.DjangoModelFactory):
    """A frozen prompt set with one prompt for each label of the dataset."""

    class Meta:
        model = PromptSet

    dataset = factory.SubFactory(DatasetFactory)
    version = factory.LazyAttribute(lambda o: PromptSet.objects.filter(dataset=o.dataset).count() + 1)
    digest = factory.Sequence(lambda n: hashlib.sha256(b"prompts %d" % n).hexdigest())

    @classmethod
    def _create(cls, model_class: type[PromptSet], *args: Any, **values: Any) -> PromptSet:
        with transaction.atomic():  # a set accepts prompts in its own transaction only
            made: PromptSet = super()._create(model_class, *args, **values)
            for label in Label.objects.filter(dataset=made.dataset, archived_at__isnull=True):
                Prompt.objects.create(
                    prompt_set=made, label=label, text=f"a photo of {label.name}", position=1
                )
        return made


def picture(number: int = 0, size: tuple[int, int] = (96, 96)) -> PillowImage.Image:
    """Return a grey surface with a mark that differs by number."""
    grey = 110 + number * 37 % 90
    drawn = PillowImage.new("RGB", size, (grey, grey, grey - number % 7))
    width, height = size
    start = (number * 13 % width, number * 29 % height)
    end = (number * 53 % width, number * 71 % height)
    ImageDraw.Draw(drawn).line([start, end], fill=(grey - 60,) * 3, width=1 + number % 4)
    drawn.putpixel((0, 0), (number % 256, number // 256 % 256, number // 65536 % 256))
    return drawn


def png(number: int = 0, size: tuple[int, int] = (96, 96)) -> bytes:
    """Return the picture of this number as a PNG file."""
    buffer = io.BytesIO()
    picture(number, size).save(buffer, "PNG")
    return buffer.getvalue()


class ImageFactory(factory.django.DjangoModelFactory):
    """An image row. With stored=True its file and thumbnail are in the storage too."""

    class Meta:
        model = Image
        skip_postgeneration_save = True

    dataset = factory.SubFactory(DatasetFactory)
    name = factory.Sequence(lambda n: f"part-{n:05}.png")
    sha256 = factory.Sequence(lambda n: hashlib.sha256(b"image %d" % n).hexdigest())
    format = "PNG"
    width = 96
    height = 96
    size = 100
    metadata = factory.LazyFunction(lambda: {"line": "A", "camera": "1"})
    audit_key = 0.5

    @factory.post_generation
    def stored(self, create: bool, extracted: Any, **kwargs: Any) -> None:
        if not extracted:
            return
        from mekiki.datasets import storage

        content = png(self.pk)
        set_fixed(self, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        default_storage.save(storage.original_name(self.dataset_id, self.sha256), ContentFile(content))
        small = io.BytesIO()
        picture(self.pk).save(small, "WEBP")
        default_storage.save(storage.thumb_name(self.dataset_id, self.sha256), ContentFile(small.getvalue()))


class EncoderFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Encoder

    name = "pocket"
    digest = factory.Sequence(lambda n: hashlib.sha256(b"encoder %d" % n).hexdigest())
    dim = 4
    logit_scale = 100.0


class HeadFactory(factory.django.DjangoModelFactory):
    """A head of the dataset's labels. It cannot predict, because it has no real weights."""

    class Meta:
        model = Head

    dataset = factory.SubFactory(DatasetFactory)
    version = factory.LazyAttribute(lambda o: Head.objects.filter(dataset=o.dataset).count() + 1)
    kind = Head.Kind.LOGISTIC
    encoder = factory.SubFactory(EncoderFactory)
    prompt_set = factory.SubFactory(PromptSetFactory, dataset=factory.SelfAttribute("..dataset"))
    label_ids = factory.LazyAttribute(
        lambda o: list(Label.objects.filter(dataset=o.dataset).values_list("pk", flat=True))
    )
    weights = b"weights"
    digest = factory.Sequence(lambda n: hashlib.sha256(b"head %d" % n).hexdigest())
    code_version = "test"


class ChampionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Champion

    head = factory.SubFactory(HeadFactory)
    dataset = factory.SelfAttribute("head.dataset")


class EvaluationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Evaluation

    head = factory.SubFactory(HeadFactory)
    n = 40
    correct = 36
    low = 0.77
    high = 0.96
    answers = 100


class PredictionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Prediction

    @classmethod
    def _create(cls, model_class: type[Prediction], *args: Any, **kwargs: Any) -> Prediction:
        head = kwargs["head"]
        if not hasattr(head, "has_partition"):
            open_predictions(head=head)
            head.has_partition = True
        return super()._create(model_class, *args, **kwargs)

    head = factory.SubFactory(HeadFactory)
    image = factory.SubFactory(ImageFactory, dataset=factory.SelfAttribute("..head.dataset"))
    label = factory.SubFactory(LabelFactory, dataset=factory.SelfAttribute("..head.dataset"))
    confidence = 0.8
    margin = 0.6
    entropy = 0.5


class TrainingRunFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = TrainingRun

    dataset = factory.SubFactory(DatasetFactory)
    trigger = TrainingRun.Trigger.BUTTON


class QueueItemFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = QueueItem

    dataset = factory.SubFactory(DatasetFactory)
    image = factory.SubFactory(ImageFactory, dataset=factory.SelfAttribute("..dataset"))
    stream = Stream.UNCERTAIN
    propensity = 1.0
    position = factory.Sequence(float)


class DecisionFactory(factory.django.DjangoModelFactory):
    """A decision row only.

    review.services.answer, or the factory below, creates the confirmed label that follows from it.
    """

    class Meta:
        model = Decision

    dataset = factory.SubFactory(DatasetFactory)
    image = factory.SubFactory(ImageFactory, dataset=factory.SelfAttribute("..dataset"))
    user = factory.SubFactory(UserFactory)
    kind = Decision.Kind.CONFIRM
    label = factory.SubFactory(LabelFactory, dataset=factory.SelfAttribute("..dataset"))
    client_key = factory.LazyFunction(uuid.uuid4)


class ConfirmedLabelFactory(factory.django.DjangoModelFactory):
    """A confirmed label with its decision."""

    class Meta:
        model = ConfirmedLabel

    dataset = factory.SubFactory(DatasetFactory)
    image = factory.SubFactory(ImageFactory, dataset=factory.SelfAttribute("..dataset"))
    label = factory.SubFactory(LabelFactory, dataset=factory.SelfAttribute("..dataset"))
    decision = factory.SubFactory(
        DecisionFactory,
        dataset=factory.SelfAttribute("..dataset"),
        image=factory.SelfAttribute("..image"),
        label=factory.SelfAttribute("..label"),
    )
    stream = Stream.UNCERTAIN
    in_training = True
    audit_label = factory.LazyAttribute(lambda o: o.label if o.stream == Stream.AUDIT else None)
    audited_at = factory.LazyAttribute(
        lambda o: timezone.now() - timedelta(days=1) if o.audit_label else None
    )


class CertificateFactory(factory.django.DjangoModelFactory):
    """A certificate that is being frozen. quality.services.certificates makes one that has images."""

    class Meta:
        model = Certificate

    dataset = factory.SubFactory(DatasetFactory)
    version = factory.Sequence(lambda n: n + 1)
    alpha = 0.05
    delta = 0.05
    limit = 300
    levels = [0.7, 1.0]
    created_by = factory.SubFactory(UserFactory)


class CertificatePlanFactory(factory.django.DjangoModelFactory):
    """A plan without a forecast. quality.services.certificates.record_forecasts adds one."""

    class Meta:
        model = CertificatePlan

    dataset = factory.SubFactory(DatasetFactory)
    number = factory.Sequence(lambda n: n + 1)
    alpha = 0.05
    delta = 0.05
    test = "watched"
    created_by = factory.SubFactory(UserFactory)


class CertificateStreamFactory(factory.django.DjangoModelFactory):
    """The extension of a certificate to later images, without images."""

    class Meta:
        model = CertificateStream

    certificate = factory.SubFactory(CertificateFactory)
    share = 0.1
    confidence = 0.9
    seed = bytes(32)
    commitment = "0" * 64
    started_by = factory.SelfAttribute("certificate.created_by")


class JobFactory(factory.django.DjangoModelFactory):
    """A queued job. With `running=True` a worker has claimed it."""

    class Meta:
        model = Job

    class Params:
        running = factory.Trait(
            state=State.RUNNING,
            attempt=1,
            started_at=factory.LazyFunction(timezone.now),
            heartbeat_at=factory.LazyFunction(timezone.now),
        )

    dataset = factory.SubFactory(DatasetFactory)
    kind = Kind.ENCODE
    key = factory.Sequence(lambda n: f"key {n}")
