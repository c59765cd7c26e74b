"""Users, their roles in datasets, their sessions, logins and mails, and the settings of the site."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser, UserManager
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Now
from django.utils.module_loading import import_string
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mekiki.accounts import names
from mekiki.accounts.passwords import LONGEST, normalize

if TYPE_CHECKING:
    from mekiki.accounts.sessions import SessionStore

# No user name contains this character. In a key it is followed by the id of the user, if another user had the
# same key before keys were unique.
COLLISION_MARK = "#"


class PeopleManager(UserManager["User"]):
    """A user manager that finds users by name without regard to case and width."""

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the user with this name. Names that only look alike are not equal.

        The exact spelling comes first. It separates users who had equal names before names were compared in
        this way. Raises DoesNotExist if there is no such user.
        """
        # A text in PostgreSQL cannot contain NUL or half of a surrogate pair.
        name = (username or "").replace("\0", "").encode(errors="replace").decode()
        written = models.Q(username=name)
        matches = self.filter(written | models.Q(name_key=names.name_key(name)))
        user = matches.order_by(models.Case(models.When(written, then=0), default=1)).first()
        if user is None:
            raise self.model.DoesNotExist(f"No user “{name[:150]}”.")
        return user

    def _create_user(self, username: str, email: str | None, password: str | None, **fields: Any) -> "User":
        """Create a user with a normalized password.

        Raises ValidationError if the name is confusable. This also applies to commands such as
        createsuperuser.
        """
        User(username=User.normalize_username(username)).refuse_confusable_name()
        password = None if password is None else normalize(password)
        return super()._create_user(username, email, password, **fields)  # type: ignore[misc]


class User(AbstractUser):
    """A person who can log in. `is_superuser` marks an admin of the platform.

    The roles in datasets are memberships.
    """

    language = models.CharField(_("language"), max_length=10, blank=True, default="")
    may_create_datasets = models.BooleanField(_("may create datasets"), default=False)
    # Another person has set the password. The user can only change it (accounts/middleware.py).
    must_change_password = models.BooleanField(_("must change the password"), default=False)
    # Written by save(). The keys are unique, so that no two new users have equal or confusable names
    # (accounts/names.py).
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
        """Raise ValidationError if a new name mixes scripts, or equals or resembles another user's name."""
        super().clean()
        self._update_comparison_keys()
        if not User.objects.filter(pk=self.pk, username=self.username).exists():
            self.refuse_confusable_name()

    def refuse_confusable_name(self) -> None:
        """Raise ValidationError for `username` if the name equals or looks like another user's name.

        The error names the other user. It is also raised if the name has invisible letters or mixes scripts.
        """
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
                "This name is equal to “%(name)s” or looks like it, so the two could be taken for each "
                "other. Nothing was saved. Choose another name."
            )
            taken = ValidationError(message % {"name": other.username}, code="name_taken")
            raise ValidationError({"username": taken})

    def _update_comparison_keys(self) -> None:
        key, look = names.name_key(self.username), names.look_key(self.username)
        if _strip_collision_mark(self.name_key) != key or _strip_collision_mark(self.look_key) != look:
            self.name_key, self.look_key = key, look

    def save(self, *args: Any, **options: Any) -> None:
        """Save the user with comparison keys that match the name."""
        self._update_comparison_keys()
        if "username" in (options.get("update_fields") or ()):
            options["update_fields"] = {*options["update_fields"], "name_key", "look_key"}
        super().save(*args, **options)

    def set_password(self, raw_password: str | None) -> None:
        """Set the password in its normalized form."""
        super().set_password(None if raw_password is None else normalize(raw_password))

    def check_password(self, raw_password: str | None) -> bool:
        """Return whether this is the password, after normalization. A text that is too long is wrong."""
        given = raw_password or ""
        return len(given) <= 4 * LONGEST and super().check_password(normalize(given))

    @property
    def name_is_shared(self) -> bool:
        """Return whether another user had an equal or confusable name when name comparison was introduced."""
        return COLLISION_MARK in self.name_key or COLLISION_MARK in self.look_key


def _strip_collision_mark(key: str) -> str:
    """Return a stored key without the mark that an older version added to keys that were not unique."""
    return key.partition(COLLISION_MARK)[0]


class Role(models.TextChoices):
    """The roles of members. Each role includes the rights of the roles after it."""

    ADMIN = "admin", _("admin")
    REVIEWER = "reviewer", _("reviewer")
    VIEWER = "viewer", _("viewer")


# The largest value of Membership.daily_goal.
MAX_DAILY_GOAL = 100_000


class Membership(models.Model):
    """The role of one user in one dataset."""

    # A string instead of an import, because accounts is a lower layer than datasets.
    dataset = models.ForeignKey("datasets.Dataset", on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices)
    # The member rules on images about which reviewers disagree. Admins may do so without it.
    is_adjudicator = models.BooleanField(default=False, db_default=False)
    # How many answers an admin asks of the member for each day. Null: no goal.
    daily_goal = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "user"], name="one_role_per_member"),
            models.CheckConstraint(
                condition=models.Q(is_adjudicator=False) | ~models.Q(role=Role.VIEWER),
                name="adjudicator_reviews",
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="role_is_known"),
            models.CheckConstraint(
                condition=models.Q(daily_goal__isnull=True)
                | models.Q(daily_goal__gte=1, daily_goal__lte=MAX_DAILY_GOAL),
                name="daily_goal_in_range",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} in {self.dataset_id}"


class LoginTry(models.Model):
    """A login that has not succeeded.

    Rows are deleted after a short time: see accounts.throttle.
    """

    # "user:<id>" if the name belongs to a user, else "name:" and a digest of the entered text
    # (accounts.throttle). Failed second factors and single sign-ons have other names
    # (second_factor/guesses.py, sign_on/failures.py).
    name = models.CharField(max_length=150)
    address = models.CharField(max_length=64)  # an IPv4 address, or the /64 of an IPv6 address
    at = models.DateTimeField(db_default=Now())
    device = models.CharField(max_length=71, blank=True, default="")  # the key of a known device, else ""
    # The try came from a device or an address that has logged in to the account before.
    is_known = models.BooleanField(default=False)
    password_digest = models.CharField(max_length=8, blank=True, default="")
    # Later tries had to wait because of this try, and an event records it.
    refused = models.BooleanField(default=False)

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
    """A device or an address from which a user has logged in before.

    Failures of other people cannot slow the user down there.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="known_places")
    key = models.CharField(max_length=80)  # "device:<SHA-256 of the cookie>" or "address:<network>"
    first_at = models.DateTimeField(db_default=Now())
    last_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_row_per_known_place")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.key[:20]}"


class Session(AbstractBaseSession):
    """A session of a browser.

    `session_key` is a digest of the key in the cookie (accounts/sessions.py).
    """

    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="sessions")
    created_at = models.DateTimeField(db_default=Now())
    used_at = models.DateTimeField(db_default=Now(), db_index=True)
    confirmed_at = models.DateTimeField(null=True)  # the last confirmation (accounts/confirming.py)
    address = models.CharField(max_length=64, blank=True, default="")
    agent = models.CharField(max_length=300, blank=True, default="")

    @classmethod
    def get_session_store_class(cls) -> "type[SessionStore]":
        """Return the store that reads and writes this table."""
        return import_string(f"{settings.SESSION_ENGINE}.SessionStore")

    def save(self, *args: Any, force_update: bool = False, **options: Any) -> None:
        """Write the columns that the store knows.

        accounts/sessions.py updates times and client separately.
        """
        if force_update:
            options["update_fields"] = ["session_data", "expire_date", "user"]
        super().save(*args, force_update=force_update, **options)


class PasswordReset(models.Model):
    """A request for a mail about a lost password.

    Rows are deleted after a short time: see accounts.mail_reset.
    """

    # None if nobody gets a mail.
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    address = models.CharField(max_length=64, blank=True, default="")
    language = models.CharField(max_length=10, blank=True, default="")
    asked_at = models.DateTimeField(db_default=Now(), db_index=True)
    next_at = models.DateTimeField(db_default=Now())  # the time of the next try to send the mail
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.user_id} at {self.asked_at}"


class OutgoingMail(models.Model):
    """A mail that waits, was sent or was given up.

    Rows are deleted after a short time: see accounts.outbox.
    """

    class Kind(models.TextChoices):
        NOTICE = "notice", _("change of an account")
        NEW_ADDRESS = "new_address", _("new mail address")
        SEAL_HEAD = "seal_head", _("head of a seal")

    kind = models.CharField(max_length=20, choices=Kind.choices)
    to = models.EmailField()
    subject = models.CharField(max_length=200)
    body = models.TextField()  # "" after the mail was sent or given up
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    data = models.JSONField(default=dict)
    asked_at = models.DateTimeField(db_default=Now(), db_index=True)
    next_at = models.DateTimeField(db_default=Now())  # the time of the next try
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
    """The settings of the whole site: one row at most. Read and written by accounts/site.py."""

    ONLY = 1

    # "" if no zone is chosen yet.
    time_zone = models.CharField(max_length=64, blank=True, default="")
    # If true, admins of the platform and of datasets without a second factor can only set one up.
    second_factor_required = models.BooleanField(default=False)
    # The people who get the head of the newest seal by mail once a day (audit/head_mail.py), the seal that
    # was mailed last, and the time of that mail.
    head_recipients = ArrayField(models.EmailField(), default=list)
    head_mailed_seal = models.PositiveBigIntegerField(default=0)
    head_mailed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="one_row_of_site_settings")]

    def __str__(self) -> str:
        return "site settings"
