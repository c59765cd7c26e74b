"""Tables of labels and of the prompts that describe them."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from mekiki.audit.triggers import append_only
from mekiki.datasets.models import MOST_REVIEWERS, Dataset
from mekiki.labeling.text import MAX_CODE, MAX_SET_NAME
from mekiki.labeling.triggers import refuse_new_prompts, write_guideline_version


class Label(models.Model):
    """A class of the dataset's schema. A machine never sets a critical label without a person."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="labels")
    name = models.CharField(_("name"), max_length=80)
    # A few characters that a barcode scanner or a person types instead of the name. Empty: no code.
    code = models.CharField(_("short code"), max_length=MAX_CODE, blank=True, default="", db_default="")
    position = models.PositiveIntegerField()  # 1, 2, 3 …: the key on the keyboard
    critical = models.BooleanField(_("critical"), default=False)
    guideline = models.TextField(_("guideline"), blank=True, default="")
    # The guideline for readers of one language ("en", "ja") who shall read another text.
    guideline_texts = models.JSONField(
        default=dict, blank=True, db_default=models.Value({}, models.JSONField())
    )
    # The label for images that none of the other labels fits. The station shows it last.
    is_none = models.BooleanField(_("none of these"), default=False, db_default=False)
    # The least overlap of images whose prediction or answer is this label (review.overlap).
    min_overlap = models.PositiveSmallIntegerField(default=1, db_default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    archived_at = models.DateTimeField(null=True)
    # When the label was last marked critical, and when the mark was last removed. A label set states these
    # times if it holds machine labels of this label.
    critical_since = models.DateTimeField(null=True)
    critical_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(
                "dataset",
                Lower("name"),
                condition=models.Q(archived_at__isnull=True),
                name="one_label_per_name",
            ),
            models.UniqueConstraint(
                "dataset",
                Lower("code"),
                condition=models.Q(archived_at__isnull=True) & ~models.Q(code=""),
                name="one_label_per_code",
            ),
            models.UniqueConstraint(
                fields=["dataset"],
                condition=models.Q(is_none=True, archived_at__isnull=True),
                name="one_none_of_these",
            ),
            models.CheckConstraint(
                condition=models.Q(min_overlap__gte=1, min_overlap__lte=MOST_REVIEWERS),
                name="min_overlap_in_range",
            ),
        ]
        triggers = [write_guideline_version()]

    def __str__(self) -> str:
        return self.name

    @property
    def shown_guideline(self) -> str:
        """Return the guideline in the reader's language, or the common text."""
        language = (get_language() or "").split("-")[0]
        return str(self.guideline_texts.get(language) or self.guideline)


class GuidelineVersion(models.Model):
    """A text of a label's guideline, valid from its time until the next version.

    A database trigger of labels writes it.
    """

    label = models.ForeignKey(Label, on_delete=models.CASCADE, related_name="guideline_versions")
    version = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    texts = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))  # by language
    # Null if the author is unknown: the text is older than versions, or another program wrote it.
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["label", "version"], name="one_guideline_per_version")]
        triggers = append_only(dated="created_at")

    def __str__(self) -> str:
        return f"{self.label_id} v{self.version}"


class PromptSet(models.Model):
    """A frozen, numbered collection of prompts. Editing prompts creates the next version."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="prompt_sets")
    version = models.PositiveIntegerField()
    name = models.CharField(_("name"), max_length=MAX_SET_NAME, blank=True, default="", db_default="")
    digest = models.CharField(max_length=64)  # SHA-256 of the canonical JSON of its prompts
    # The version whose prompts were taken again. Null: the prompts were written.
    taken_from = models.ForeignKey("self", null=True, on_delete=models.RESTRICT, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-version"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "version"], name="one_prompt_set_per_version")
        ]
        triggers = append_only(dated="created_at")

    def __str__(self) -> str:
        return f"v{self.version}"


class Prompt(models.Model):
    """A sentence that describes a label, inside a frozen prompt set."""

    prompt_set = models.ForeignKey(PromptSet, on_delete=models.CASCADE, related_name="prompts")
    label = models.ForeignKey(Label, on_delete=models.CASCADE, related_name="prompts")
    text = models.CharField(max_length=500)
    position = models.PositiveIntegerField()

    class Meta:
        ordering = ["label__position", "position"]
        constraints = [
            models.UniqueConstraint(fields=["prompt_set", "label", "text"], name="one_prompt_per_text"),
        ]
        triggers = [*append_only(), refuse_new_prompts()]

    def __str__(self) -> str:
        return self.text


class PromptDraft(models.Model):
    """Prompts that a user tries in the workbench. They have no effect until they are saved as a version.

    `texts` maps a label id (as a string) to the content of its field, one prompt per line.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="prompt_drafts")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    base = models.ForeignKey(PromptSet, null=True, on_delete=models.SET_NULL, related_name="+")
    texts = models.JSONField(default=dict)
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "user"], name="one_prompt_draft_per_user"),
        ]

    def __str__(self) -> str:
        return f"{self.dataset_id}: {self.user_id}"


class SchemaVersion(models.Model):
    """The labels in use from its time until the next version. Every act that changes labels adds one.

    `labels` holds for each label its id, name, code, position, critical and is_none, in the order of the
    keys. A label set names its version.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="schema_versions")
    version = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)  # SHA-256 of the canonical JSON of `labels`
    labels = models.JSONField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["dataset", "version"], name="one_schema_per_version")]
        triggers = append_only(dated="created_at")

    def __str__(self) -> str:
        return f"{self.dataset_id} v{self.version}"
