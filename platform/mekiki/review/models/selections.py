"""Saved views of the gallery, tags of images, and acts on many images."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils.translation import gettext_lazy as _

from mekiki.datasets.models import Dataset, Image

NAME_LENGTH = 80
REASON_LENGTH = 300


class SavedView(models.Model):
    """Filters of the gallery under a name. All members see it, and acts take it as their images."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="saved_views")
    name = models.CharField(_("name"), max_length=NAME_LENGTH)
    query = models.TextField()  # the query string of the gallery, without order and page
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name", "id"]
        constraints = [models.UniqueConstraint("dataset", Lower("name"), name="one_view_per_name")]

    def __str__(self) -> str:
        return self.name


class Tag(models.Model):
    """A word that members give to images."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="tags")
    name = models.CharField(max_length=NAME_LENGTH)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name", "id"]
        constraints = [models.UniqueConstraint("dataset", Lower("name"), name="one_tag_per_name")]

    def __str__(self) -> str:
        return self.name


class ImageTag(models.Model):
    """A tag of an image."""

    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="image_tags", db_index=False)
    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="image_tags", db_index=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["image", "tag"], name="tag_once_per_image")]
        indexes = [models.Index(fields=["tag", "image"], name="image_by_tag")]

    def __str__(self) -> str:
        return f"{self.image_id}: {self.tag_id}"


class ExcludedImage(models.Model):
    """An image that an admin has excluded: it is neither queued, trained on nor exported.

    Its decisions stay. The row is deleted when the image is taken back; the events of the acts tell who did
    what. The queue ignores an exclusion while the image belongs to the audit reserve (review.exclusions).
    """

    image = models.OneToOneField(Image, primary_key=True, on_delete=models.CASCADE, related_name="exclusion")
    act = models.ForeignKey("BulkAct", on_delete=models.CASCADE, related_name="exclusions")

    def __str__(self) -> str:
        return str(self.image_id)


class BulkAct(models.Model):
    """One act on all images that match filters, or on a list of images. It continues after `last_image`.

    Each step writes its effect and the counts in one transaction, so a killed worker repeats nothing.
    """

    class Act(models.TextChoices):
        QUEUE = "queue", _("Send to review")
        TAG = "tag", _("Tag")
        UNTAG = "untag", _("Remove the tag")
        EXCLUDE = "exclude", _("Exclude")
        INCLUDE = "include", _("Take back")

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="bulk_acts")
    act = models.CharField(max_length=10, choices=Act.choices)
    tag = models.ForeignKey(Tag, null=True, on_delete=models.CASCADE, related_name="+", db_index=False)
    reason = models.CharField(max_length=REASON_LENGTH, blank=True, default="")  # of an exclusion
    query = models.TextField(blank=True, default="")  # the filters; not used with `image_ids`
    image_ids = models.JSONField(null=True)
    view_name = models.CharField(max_length=NAME_LENGTH, blank=True, default="")
    through = models.BigIntegerField()  # the newest image of the dataset at the beginning
    last_image = models.BigIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)  # already waiting, or already tagged
    left_out = models.PositiveIntegerField(default=0)  # images that hide their facts
    # Images of the audit sample, which are never excluded: the accuracy must not improve by an exclusion.
    audited = models.PositiveIntegerField(default=0)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(act__in=["queue", "exclude", "include"], tag__isnull=True)
                | models.Q(act__in=["tag", "untag"], tag__isnull=False),
                name="bulk_act_has_its_tag",
            ),
            models.CheckConstraint(
                condition=models.Q(act="exclude") ^ models.Q(reason=""), name="exclusion_has_its_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.pk}"
