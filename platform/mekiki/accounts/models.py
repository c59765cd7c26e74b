"""Users and their roles in datasets."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """A person who can log in. `is_superuser` is the platform's admin; roles in a dataset are memberships."""

    language = models.CharField(_("language"), max_length=10, blank=True, default="")
    may_create_datasets = models.BooleanField(_("may create datasets"), default=False)


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
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "user"], name="one_role_per_member"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} in {self.dataset_id}"


class LoginTry(models.Model):
    """A login that has not succeeded. Short-lived: see accounts.throttle."""

    name = models.CharField(max_length=150)  # as typed, case-folded; not necessarily a user's
    address = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["name", "address", "-at"], name="login_try_recent")]

    def __str__(self) -> str:
        return f"{self.name} from {self.address}"
