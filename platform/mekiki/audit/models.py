"""The append-only record of what happened, by whom; the seals over it, and the keys that signed them."""

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.audit.triggers import append_only


class Event(models.Model):
    """One act. Never changed, never deleted: the database refuses both.

    Names are copied beside the ids, so that an event reads the same after a user or dataset is renamed.
    """

    at = models.DateTimeField(db_default=Now(), editable=False)
    kind = models.CharField(max_length=60)  # "dataset.created", "head.promoted" …
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(max_length=150, default="")  # "" is the platform itself
    dataset_id = models.BigIntegerField(null=True)
    object_type = models.CharField(max_length=40, default="")
    object_id = models.CharField(max_length=64, default="")
    data = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["dataset_id", "-at", "-id"], name="event_of_dataset_by_time"),
            models.Index(fields=["-at", "-id"], name="event_by_time"),
            # The operator class also finds kinds by their beginning.
            models.Index(
                OpClass("kind", name="varchar_pattern_ops"),
                F("at").desc(),
                F("id").desc(),
                name="event_by_kind",
            ),
            models.Index(fields=["actor_name", "-at", "-id"], name="event_by_actor"),
            # The changes of the audit share decide which images belong to the reserve: asked by every page with images.
            models.Index(
                fields=["dataset_id"],
                condition=models.Q(kind="dataset.settings_changed"),
                name="event_of_settings",
            ),
        ]
        triggers = append_only(dated="at")

    def __str__(self) -> str:
        return f"{self.kind} {self.object_type} {self.object_id}"


class SigningKey(models.Model):
    """The public half of a key that signed, or signs, for this platform. The newest one is in use.

    The private half is a file that only workers read (audit/private_key.py).
    """

    class Act(models.TextChoices):
        MADE = "made", _("made at set-up")
        REGISTERED = "registered", _("taken over from an older version")
        ROTATED = "rotated", _("replaced the key before, which signed for it")
        REPLACED = "replaced", _("replaced a key that was lost")

    fingerprint = models.CharField(max_length=64, unique=True)  # SHA-256 of the raw public key
    public_pem = models.TextField()
    act = models.CharField(max_length=10, choices=Act.choices)
    # The signature of the key before over `audit.keys.endorsement_text`; empty for a first key and after a loss.
    endorsement = models.BinaryField(default=b"")
    actor_name = models.CharField(max_length=150, default="")  # "" is the platform itself
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        triggers = append_only(dated="at")

    def __str__(self) -> str:
        return self.fingerprint


class Seal(models.Model):
    """A signed Merkle root over a run of rows of one table, chained to the seal before.

    `log_root` is the root of an RFC 9162 tree whose leaves are the hashes of all seals up to this one.
    """

    number = models.PositiveBigIntegerField(primary_key=True)  # 1, 2, 3 … without gaps
    table = models.CharField(max_length=40)  # the name of a SealedTable
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    rows = models.PositiveIntegerField()
    root = models.BinaryField()
    previous = models.BinaryField()  # the hash of the seal before; empty for the first
    sealed_at = models.DateTimeField()  # the database's clock
    hash = models.BinaryField()
    log_root = models.BinaryField()
    log_peaks = models.BinaryField()  # of the tree of seals, to go on from (merkle.Tree.peaks)
    key = models.ForeignKey(SigningKey, on_delete=models.PROTECT, related_name="+")
    signature = models.BinaryField()

    class Meta:
        ordering = ["-number"]
        indexes = [models.Index(fields=["table", "-number"], name="seal_of_table")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(number__gte=1, rows__gte=1, last_id__gte=F("first_id")),
                name="seal_covers_rows",
            )
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"seal {self.number}"


class SealLeaves(models.Model):
    """The ids and leaf hashes of a seal's rows, so that a changed row can be named."""

    seal = models.OneToOneField(Seal, primary_key=True, on_delete=models.PROTECT, related_name="leaves")
    ids = models.BinaryField()  # 8 bytes each, ascending
    hashes = models.BinaryField()  # 32 bytes each, in the order of the ids

    class Meta:
        triggers = append_only()

    def __str__(self) -> str:
        return f"leaves of seal {self.seal_id}"


class SealTimeStamp(models.Model):
    """A time stamp (RFC 3161) of a seal by an authority outside the platform."""

    seal = models.ForeignKey(Seal, on_delete=models.PROTECT, related_name="time_stamps")
    reply = models.BinaryField()  # the TimeStampResp, DER
    roots_pem = models.TextField(
        default=""
    )  # the certificates it was checked against; "": who signed was not checked
    authority = models.CharField(max_length=300)
    stamped_at = models.DateTimeField()  # as the authority says
    added_by = models.CharField(max_length=150, default="")
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        triggers = append_only(dated="at")

    def __str__(self) -> str:
        return f"{self.authority} {self.stamped_at}"


class SealCheck(models.Model):
    """What came of a check of the seals, as pages show it."""

    at = models.DateTimeField(db_default=Now(), editable=False)
    ok = models.BooleanField()
    seals = models.PositiveBigIntegerField()
    rows = models.PositiveBigIntegerField()
    unsealed = models.PositiveBigIntegerField()
    findings = models.JSONField(default=list)  # [{"code": …, "detail": {…}}], audit.checking.SENTENCES

    class Meta:
        indexes = [models.Index(fields=["-at"], name="seal_check_by_time")]

    def __str__(self) -> str:
        return f"check {self.at}: {'as sealed' if self.ok else 'differs'}"
