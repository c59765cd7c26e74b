"""Users and their roles in datasets."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mekiki.accounts import names
from mekiki.accounts.passwords import LONGEST, normalize

if TYPE_CHECKING:
    from mekiki.accounts.sessions import SessionStore

# No user name holds this character. Behind it: the id of a user whose key was taken before keys were unique.
MARK = "#"


class PeopleManager(UserManager["User"]):
    """Finds people by name without regard to case and width."""

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the user of this name; DoesNotExist when there is none. Names that look alike are not equal.

        The exact spelling comes first: it tells users apart whose names were equal before names were compared so.
        """
        # PostgreSQL's text holds neither NUL nor half a surrogate pair.
        name = (username or "").replace("\0", "").encode(errors="replace").decode()
        written = models.Q(username=name)
        found = self.filter(written | models.Q(name_key=names.name_key(name)))
        user = found.order_by(models.Case(models.When(written, then=0), default=1)).first()
        if user is None:
            raise self.model.DoesNotExist(f"No user “{name[:150]}”.")
        return user

    def _create_user(self, username: str, email: str | None, password: str | None, **fields: Any) -> "User":
        """Refuse a confusable name in commands too, such as createsuperuser, and normalize the password."""
        User(username=User.normalize_username(username)).refuse_confusable_name()
        password = None if password is None else normalize(password)
        return super()._create_user(username, email, password, **fields)  # type: ignore[misc]


class User(AbstractUser):
    """A person who can log in. `is_superuser` is the platform's admin; roles in a dataset are memberships."""

    language = models.CharField(_("language"), max_length=10, blank=True, default="")
    may_create_datasets = models.BooleanField(_("may create datasets"), default=False)
    # Another person has given the password: nothing but changing it is possible (accounts/middleware.py).
    must_change_password = models.BooleanField(_("must change the password"), default=False)
    # Written by save(); unique, so that no two new users can have equal or confusable names (accounts/names.py).
    name_key = models.TextField(unique=True, editable=False, blank=True)
    look_key = models.TextField(unique=True, editable=False, blank=True)

    objects: ClassVar[PeopleManager] = PeopleManager()

    class Meta(AbstractUser.Meta):  # type: ignore[name-defined,misc]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(name_key="") & ~models.Q(look_key=""), name="user_has_comparison_keys"
            )
        ]

    def clean(self) -> None:
        """Refuse a new name that mixes scripts, or that is equal to or looks like the name of another user."""
        super().clean()
        self._keep_keys_in_step()
        if not User.objects.filter(pk=self.pk, username=self.username).exists():
            self.refuse_confusable_name()

    def refuse_confusable_name(self) -> None:
        """Raise ValidationError, under `username`, that names the user whose name is equal or looks alike."""
        try:
            names.refuse_invisible_letters(self.username)
            names.refuse_mixed_scripts(self.username)
        except ValidationError as problem:
            raise ValidationError({"username": problem}) from None
        equal = models.Q(name_key=names.name_key(self.username))
        alike = models.Q(look_key=names.look_key(self.username))
        other = User.objects.filter(equal | alike).exclude(pk=self.pk).first()
        if other is not None:
            message = gettext(
                "This name is equal to “%(name)s” or looks like it, so the two could be taken for each other. "
                "Nothing was saved. Choose another name."
            )
            taken = ValidationError(message % {"name": other.username}, code="name_taken")
            raise ValidationError({"username": taken})

    def _keep_keys_in_step(self) -> None:
        key, look = names.name_key(self.username), names.look_key(self.username)
        if _own(self.name_key) != key or _own(self.look_key) != look:
            self.name_key, self.look_key = key, look

    def save(self, *args: Any, **options: Any) -> None:
        """Keep the comparison keys in step with the name."""
        self._keep_keys_in_step()
        if "username" in (options.get("update_fields") or ()):
            options["update_fields"] = {*options["update_fields"], "name_key", "look_key"}
        super().save(*args, **options)

    def set_password(self, raw_password: str | None) -> None:
        """As Django's, of the normalized password."""
        super().set_password(None if raw_password is None else normalize(raw_password))

    def check_password(self, raw_password: str | None) -> bool:
        """As Django's, of the normalized password. Longer ones than a password can be are wrong unseen."""
        given = raw_password or ""
        return len(given) <= 4 * LONGEST and super().check_password(normalize(given))

    @property
    def name_is_shared(self) -> bool:
        """Whether another user had an equal or confusable name when names began to be compared."""
        return MARK in self.name_key or MARK in self.look_key


def _own(key: str) -> str:
    """Return a stored key without the mark that migration 0005 put on keys of names that were not unique."""
    return key.partition(MARK)[0]


class Role(models.TextChoices):
    """What a member may do. Each role includes the ones after it."""

    ADMIN = "admin", _("admin")
    REVIEWER = "reviewer", _("reviewer")
    VIEWER = "viewer", _("viewer")


class Membership(models.Model):
    """One user's role in one dataset."""

    # A string, not an import: accounts lies below datasets.
    dataset = models.ForeignKey("datasets.Dataset", on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "user"], name="one_role_per_member"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} in {self.dataset_id}"


class LoginTry(models.Model):
    """A login that has not succeeded. Short-lived: see accounts.throttle."""

    # "user:<id>" where the name is a user's, else "name:" and a digest of what was typed (accounts.throttle).
    name = models.CharField(max_length=150)
    address = models.CharField(max_length=64)  # an IPv4 address, or the /64 of an IPv6 address
    at = models.DateTimeField(db_default=Now())
    device = models.CharField(max_length=71, blank=True, default="")  # the key of a known device, else ""
    is_known = models.BooleanField(
        default=False
    )  # from a device or address that has logged in to the account
    password_digest = models.CharField(max_length=8, blank=True, default="")
    refused = models.BooleanField(default=False)  # later tries had to wait for this one, and an event says so

    class Meta:
        indexes = [
            models.Index(fields=["name", "address", "-at"], name="login_try_recent"),
            models.Index(fields=["name", "-at"], name="login_try_of_account"),
            models.Index(fields=["address", "-at"], name="login_try_of_address"),
            models.Index(fields=["password_digest", "-at"], name="login_try_of_password"),
            models.Index(fields=["at"], name="login_try_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.name} from {self.address}"


class KnownPlace(models.Model):
    """A device or an address from which a user has logged in: others cannot slow the user down there."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="known_places")
    key = models.CharField(max_length=80)  # "device:<SHA-256 of the cookie>" or "address:<network>"
    first_at = models.DateTimeField(db_default=Now())
    last_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_row_per_known_place")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.key[:20]}"


class Session(AbstractBaseSession):
    """A session of a browser. `session_key` holds a digest of the key in the cookie (accounts/sessions.py)."""

    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="sessions")
    created_at = models.DateTimeField(db_default=Now())
    used_at = models.DateTimeField(db_default=Now(), db_index=True)
    confirmed_at = models.DateTimeField(null=True)  # last shown who they are (accounts/confirming.py)
    address = models.CharField(max_length=64, blank=True, default="")
    agent = models.CharField(max_length=300, blank=True, default="")

    @classmethod
    def get_session_store_class(cls) -> "type[SessionStore]":
        """Return the store that reads and writes this table."""
        from mekiki.accounts.sessions import SessionStore

        return SessionStore

    def save(self, *args: Any, force_update: bool = False, **options: Any) -> None:
        """Write what the store knows; times and client have their own ways (accounts/sessions.py)."""
        if force_update:
            options["update_fields"] = ["session_data", "expire_date", "user"]
        super().save(*args, force_update=force_update, **options)


class PasswordReset(models.Model):
    """Somebody lost a password and asked for a mail. Short-lived: see accounts.mail_reset."""

    user = models.ForeignKey(
        User, null=True, on_delete=models.CASCADE, related_name="+"
    )  # None: nobody gets a mail
    address = models.CharField(max_length=64, blank=True, default="")
    language = models.CharField(max_length=10, blank=True, default="")
    asked_at = models.DateTimeField(db_default=Now(), db_index=True)
    sent_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.user_id} at {self.asked_at}"


class OutgoingMail(models.Model):
    """A mail that waits, was sent, or was given up. Short-lived: see accounts.outbox."""

    class Kind(models.TextChoices):
        NOTICE = "notice", _("change of an account")
        NEW_ADDRESS = "new_address", _("new mail address")
        SEAL_HEAD = "seal_head", _("head of a seal")

    kind = models.CharField(max_length=20, choices=Kind.choices)
    to = models.EmailField()
    subject = models.CharField(max_length=200)
    body = models.TextField()  # "" once it was sent or given up
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    data = models.JSONField(default=dict)
    asked_at = models.DateTimeField(db_default=Now(), db_index=True)
    next_at = models.DateTimeField(db_default=Now())  # of the next try
    tries = models.PositiveSmallIntegerField(default=0)
    problem = models.CharField(max_length=300, blank=True, default="")
    sent_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_at"],
                condition=models.Q(sent_at=None, given_up_at=None),
                name="outgoing_mail_that_waits",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class SiteSettings(models.Model):
    """What holds for the whole site: one row at most. Read and written by accounts/site.py."""

    ONLY = 1

    # "": not chosen yet.
    time_zone = models.CharField(max_length=64, blank=True, default="")
    # Admins of the platform and of datasets can do nothing but set up a second factor until they have one.
    second_factor_required = models.BooleanField(default=False)
    # Who gets the head of the newest seal by mail once a day (audit/head_mail.py); the seal mailed last, and when.
    head_recipients = ArrayField(models.EmailField(), default=list)
    head_mailed_seal = models.PositiveBigIntegerField(default=0)
    head_mailed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="one_row_of_site_settings")]

    def __str__(self) -> str:
        return "site settings"
