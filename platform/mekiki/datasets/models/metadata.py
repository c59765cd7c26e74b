"""Fields of the metadata of a dataset's images: their types, and the values of fields with an order."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from mekiki.datasets.models.datasets import Dataset
from mekiki.datasets.models.images import Image


class MetadataField(models.Model):
    """A key of the metadata of a dataset's images, with the type of its values.

    The text of each value stays in `Image.metadata`. A field whose type has an order (ORDERED) also has a row
    of MetadataValue for each image with this key.
    """

    class Type(models.TextChoices):
        TEXT = "text", _("text")
        CHOICE = "choice", _("choice")
        NUMBER = "number", _("number")
        DATE = "date", _("date")

    ORDERED = (Type.NUMBER, Type.DATE)

    dataset = models.ForeignKey(
        Dataset, on_delete=models.CASCADE, related_name="metadata_fields", db_index=False
    )
    key = models.TextField()
    type = models.CharField(_("type"), max_length=10, choices=Type.choices, default=Type.TEXT)
    # Number of values that the type was guessed from. 0: not guessed, the type is text.
    guessed_from = models.PositiveIntegerField(default=0)
    # The admin who chose the type. An import guesses the type of such a field no more.
    chosen_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    changed_at = models.DateTimeField(db_default=Now(), editable=False)
    # Raised with each change of the type.
    version = models.PositiveIntegerField(default=1)
    # Whether every image with this key has its row of MetadataValue. Types without an order need no rows.
    is_complete = models.BooleanField(default=True)

    class Meta:
        ordering = ["key"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "key"], name="metadata_field_once"),
            models.CheckConstraint(
                condition=Q(type__in=["text", "choice", "number", "date"]), name="metadata_type_is_known"
            ),
            models.CheckConstraint(
                condition=Q(is_complete=True) | Q(type__in=["number", "date"]),
                name="only_ordered_fields_are_incomplete",
            ),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def is_ordered(self) -> bool:
        """Return whether the values are numbers or dates, so that ranges of them are filters."""
        return self.type in self.ORDERED


class MetadataValue(models.Model):
    """The value of a number or date field for one image.

    Both columns are empty if the text does not fit the type.
    """

    field = models.ForeignKey(MetadataField, on_delete=models.CASCADE, related_name="values", db_index=False)
    image = models.ForeignKey(Image, on_delete=models.CASCADE, related_name="typed_values", db_index=False)
    number = models.FloatField(null=True)
    day = models.DateField(null=True)

    class Meta:
        constraints = [
            # The image comes first: the page of the gallery looks values of its images up.
            models.UniqueConstraint(fields=["image", "field"], name="metadata_value_once"),
            models.CheckConstraint(
                condition=Q(number__isnull=True) | Q(day__isnull=True), name="metadata_value_has_one_type"
            ),
        ]
        indexes = [
            models.Index(
                fields=["field", "number", "image"],
                condition=Q(number__isnull=False),
                name="metadata_by_number",
            ),
            models.Index(
                fields=["field", "day", "image"], condition=Q(day__isnull=False), name="metadata_by_day"
            ),
            models.Index(
                fields=["field", "image"],
                condition=Q(number__isnull=True, day__isnull=True),
                name="metadata_that_does_not_fit",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.field_id} of {self.image_id}"
