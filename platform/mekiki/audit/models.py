"""Tables of the audit log: events, the seals over them, and the keys that signed the seals."""

from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.audit.triggers import append_only


class Event(models.Model):
    """One act of a user or of the platform. The database refuses to change or delete it.

    Names are stored beside the ids, so an event reads the same after a user or dataset is renamed.
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
        ]
        triggers = append_only(dated="at")

    def __str__(self) -> str:
        return f"{self.kind} {self.object_type} {self.object_id}"


class SigningKey(models.Model):
    """The public half of a signing key of this platform. The newest key is in use.

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
    # The signature of the previous key over `verification.rotation.endorsement_text`. Empty for a first key
    # and after a loss.
    endorsement = models.BinaryField(default=b"")
    actor_name = models.CharField(max_length=150, default="")  # "" is the platform itself
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        triggers = append_only(dated="at")

    def __str__(self) -> str:
        return self.fingerprint


class Seal(models.Model):
    """A signed Merkle root over consecutive rows of one table, chained to the previous seal.

    `log_root` is the root of an RFC 9162 tree. Its leaves are the hashes of all seals up to this one.
    """

    number = models.PositiveBigIntegerField(primary_key=True)  # 1, 2, 3 … without gaps
    table = models.CharField(max_length=40)  # the name of a SealedTable
    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    rows = models.PositiveIntegerField()
    root = models.BinaryField()
    previous = models.BinaryField()  # the hash of the previous seal; empty for the first
    sealed_at = models.DateTimeField()  # the database's clock
    hash = models.BinaryField()
    log_root = models.BinaryField()
    log_peaks = models.BinaryField()  # peaks of the tree of seals, to continue it (merkle.Tree.peaks)
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
    """The ids and leaf hashes of a seal's rows. With them a check can name a changed row."""

    seal = models.OneToOneField(Seal, primary_key=True, on_delete=models.PROTECT, related_name="leaves")
    ids = models.BinaryField()  # 8 bytes per id, ascending
    hashes = models.BinaryField()  # 32 bytes per hash, in the order of the ids

    class Meta:
        triggers = append_only()

    def __str__(self) -> str:
        return f"leaves of seal {self.seal_id}"


class SealTimeStamp(models.Model):
    """A time stamp (RFC 3161) of a seal by an authority outside the platform."""

    seal = models.ForeignKey(Seal, on_delete=models.PROTECT, related_name="time_stamps")
    reply = models.BinaryField()  # the TimeStampResp, DER
    # The certificates that the signature was checked against; "" if the signer was not checked.
    roots_pem = models.TextField(default="")
    authority = models.CharField(max_length=300)
    stamped_at = models.DateTimeField()  # the time that the authority states
    added_by = models.CharField(max_length=150, default="")
    at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        triggers = append_only(dated="at")

    def __str__(self) -> str:
        return f"{self.authority} {self.stamped_at}"


class SealCheck(models.Model):
    """The result of a check of the seals, for the pages."""

    at = models.DateTimeField(db_default=Now(), editable=False)
    ok = models.BooleanField()
    seals = models.PositiveBigIntegerField()
    rows = models.PositiveBigIntegerField()
    unsealed = models.PositiveBigIntegerField()
    findings = models.JSONField(default=list)  # [{"code": …, "detail": {…}}], see audit.messages.FINDINGS

    class Meta:
        indexes = [models.Index(fields=["-at"], name="seal_check_by_time")]

    def __str__(self) -> str:
        return f"check {self.at}: {'as sealed' if self.ok else 'differs'}"
