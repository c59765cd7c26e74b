"""Plans of certificates: what was typed into the form, and a forecast of coverage and cost."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from mekiki.audit.triggers import append_only, fixed_columns, no_delete, set_by_database
from mekiki.datasets.models import Dataset, ImportBatch
from mekiki.jobs.models import Job
from mekiki.learning.models import Head
from mekiki.quality.models.certificates import Certificate


class CertificatePlan(models.Model):
    """The wanted statement of a certificate, and what it probably covers and costs. Nothing is frozen.

    The columns of the statement never change. A worker fills the columns of the forecast once.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="certificate_plans")
    number = models.PositiveIntegerField()
    # The statement, with the names of the columns of Certificate.
    alpha = models.FloatField()
    delta = models.FloatField()
    test = models.CharField(max_length=10, choices=Certificate.Test.choices)
    critical_bound = models.FloatField(null=True)
    alpha_by_label = models.JSONField(default=dict, blank=True)  # label id, as text → its own alpha
    overlap = models.PositiveSmallIntegerField(default=1)
    batch = models.ForeignKey(ImportBatch, null=True, on_delete=models.PROTECT, related_name="+")
    scope = models.JSONField(default=dict, blank=True)  # verification.certificates.protocol: SCOPE_KEYS
    public_words = models.CharField(max_length=500, blank=True, default="")
    note = models.CharField(max_length=300, blank=True, default="")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    # The forecast.
    computed_at = models.DateTimeField(null=True)
    head = models.ForeignKey(Head, null=True, on_delete=models.PROTECT, related_name="+")
    pool = models.PositiveIntegerField(default=0)  # images without a label of a person
    candidates = models.PositiveIntegerField(default=0)
    critical_label = models.PositiveIntegerField(default=0)  # left out: the predicted label is critical
    critical_risk = models.PositiveIntegerField(default=0)  # left out: above critical_bound
    not_embedded = models.PositiveIntegerField(default=0)  # left out: no embedding
    audited = models.PositiveIntegerField(default=0)  # images of the audit sample that the forecast used
    audited_right = models.PositiveIntegerField(default=0)
    expected_errors = models.FloatField(default=0)  # wrong predictions among the candidates, by the forecast
    seconds = models.FloatField(default=0)  # for one blind decision
    timed_decisions = models.PositiveIntegerField(default=0)  # decisions that `seconds` was measured on
    certificate = models.OneToOneField(
        Certificate, null=True, on_delete=models.PROTECT, related_name="plan"
    )  # started from this plan

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="one_certificate_plan_per_number"),
            models.CheckConstraint(
                condition=models.Q(alpha__gte=0, alpha__lt=1, delta__gt=0, delta__lt=1),
                name="certificate_plan_bounds_in_range",
            ),
            models.CheckConstraint(
                condition=models.Q(overlap__gte=1, overlap__lte=3), name="certificate_plan_overlap_in_range"
            ),
        ]
        triggers = [
            *no_delete(),
            fixed_columns(
                "dataset",
                "number",
                "alpha",
                "delta",
                "test",
                "critical_bound",
                "alpha_by_label",
                "overlap",
                "batch",
                "scope",
                "public_words",
                "note",
                "created_by",
                "created_at",
            ),
            set_by_database("created_at"),
        ]

    def __str__(self) -> str:
        return f"{self.dataset_id}: plan {self.number}"


class CertificateForecast(models.Model):
    """The forecast for one share of wrong labels and one limit of decisions by people.

    Ranges are the 10 %, 50 % and 90 % quantiles of the simulated audits.
    """

    plan = models.ForeignKey(CertificatePlan, on_delete=models.CASCADE, related_name="forecasts")
    alpha = models.FloatField()
    limit = models.PositiveIntegerField()
    levels = ArrayField(models.FloatField())
    images = ArrayField(models.PositiveIntegerField(), size=3)  # labels set by machine
    audits = ArrayField(models.PositiveIntegerField(), size=3)
    answers = models.FloatField()  # mean number of answers until all candidates have a label
    granted = models.FloatField()  # share of the simulated audits that certified some region
    minutes = models.FloatField()  # of reviewing, at the median number of audits

    class Meta:
        ordering = ["alpha", "limit"]
        constraints = [
            models.UniqueConstraint(fields=["plan", "alpha", "limit"], name="one_forecast_per_limit")
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.plan_id}: {self.alpha} with {self.limit}"
