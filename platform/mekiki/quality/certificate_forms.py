"""The forms before a certificate: its statement, and the numbers that the plan proposes."""

from typing import Any

from django import forms
from django.forms import BoundField
from django.utils.translation import gettext_lazy as _

from mekiki.datasets.models import Dataset, ImportBatch
from mekiki.labeling.models import Label
from mekiki.labeling.selectors import active_labels
from mekiki.quality.certificate_scope import ScopeFields
from mekiki.quality.models import Certificate, CertificatePlan
from mekiki.quality.percent_field import PercentField
from mekiki.quality.services.certificates.starting import MAX_AUDITS, MAX_NOTE, MAX_PUBLIC_WORDS
from verification.certificates.protocol import PLAN_LEVELS, Protocol

_LABEL = "alpha_of_"  # + label id: the field of a label's own share of wrong labels


class ImportChoiceField(forms.ModelChoiceField):
    """The choice of one import, named by its number and date."""

    def label_from_instance(self, obj: ImportBatch) -> str:
        """Return the words of one import."""
        return _("import %(number)d, %(day)s") % {"number": obj.pk, "day": f"{obj.created_at:%Y-%m-%d}"}


class StatementForm(ScopeFields):
    """Step 1: the statement of a certificate, and how it is tested. Shares are entered in percent."""

    alpha = PercentField(
        label=_("Largest share of wrong labels set by machine (%)"),
        initial=0.02,
        most=50,
        help_text=_(
            "With 2 %, at most 2 of 100 labels set by machine are wrong. A smaller share needs more audited "
            "images."
        ),
    )
    delta = PercentField(
        label=_("Risk that the statement is false (%)"),
        initial=0.05,
        least=0.0001,
        most=50,
        help_text=_(
            "With 5 %, at most 5 of 100 certificates are granted although the share of wrong labels is "
            "larger."
        ),
    )
    batch = ImportChoiceField(
        label=_("Images"),
        queryset=ImportBatch.objects.none(),
        required=False,
        empty_label=_("all images of the dataset"),
        help_text=_("The certificate is about the images that no person has labelled yet."),
    )
    critical_bound = PercentField(
        label=_("Leave an image to people if the probability of a critical label is above this value (%)"),
        initial=0.05,
        help_text=_("Critical labels are never set by machine. This bound also excludes doubtful images."),
    )
    test = forms.ChoiceField(
        label=_("Test"),
        choices=Certificate.Test.choices,
        initial=Certificate.Test.WATCHED,
        widget=forms.RadioSelect,
        help_text=_(
            "The watched test ends as soon as the answers are sufficient. The planned test always audits the "
            "number of images that you choose in the next step."
        ),
    )
    overlap = forms.TypedChoiceField(
        label=_("Reviewers for each audited image"),
        choices=[(1, "1"), (2, "2"), (3, "3")],
        coerce=int,
        initial=1,
        help_text=_("Different answers count as an error until they are resolved."),
    )
    public_words = forms.CharField(
        label=_("Public words"),
        required=False,
        max_length=MAX_PUBLIC_WORDS,
        help_text=_(
            "For example dice or the result of a lottery draw. The audit order depends on them, so nobody "
            "can prepare an order before they are known."
        ),
    )
    note = forms.CharField(label=_("Note"), required=False, max_length=MAX_NOTE)

    def __init__(
        self, *args: Any, dataset: Dataset, plan: CertificatePlan | None = None, **kwargs: Any
    ) -> None:
        """plan: the plan whose values are shown again."""
        if plan is not None:
            kwargs["initial"] = values_of(plan)
        super().__init__(*args, **kwargs)
        batch = self.fields["batch"]
        assert isinstance(batch, ImportChoiceField)
        batch.queryset = ImportBatch.objects.filter(dataset=dataset, finished_at__isnull=False)
        self.set_scope_choices(dataset)
        if not dataset.labels.filter(critical=True, archived_at__isnull=True).exists():
            del self.fields["critical_bound"]
        # A machine never sets a critical label, so a share of its own would have no image.
        self.labels: list[Label] = list(active_labels(dataset).filter(critical=False))
        for label in self.labels:
            self.fields[f"{_LABEL}{label.pk}"] = PercentField(label=label.name, required=False, most=50)

    @property
    def main_fields(self) -> list[BoundField]:
        """The fields of the statement."""
        names = (
            "alpha",
            "delta",
            "batch",
            "scope_label",
            "scope_metadata",
            "critical_bound",
            "test",
            "overlap",
        )
        return [self[name] for name in names if name in self.fields]

    @property
    def other_fields(self) -> list[BoundField]:
        """The fields that may stay empty and have nothing to do with a label."""
        return [self["public_words"], self["note"]]

    @property
    def label_fields(self) -> list[BoundField]:
        """The field of each label's own share."""
        return [self[f"{_LABEL}{label.pk}"] for label in self.labels]

    @property
    def labels_are_open(self) -> bool:
        """Whether a field of a label has a value or an error, so that the page shows these fields."""
        return any(field.errors or field.value() not in (None, "") for field in self.label_fields)

    def clean(self) -> dict[str, Any]:
        """Add the protocol, or a general error if its values do not fit together."""
        values = super().clean() or self.cleaned_data
        if self.errors:
            return values
        own = {str(label.pk): values.get(f"{_LABEL}{label.pk}") for label in self.labels}
        try:
            values["protocol"] = Protocol(
                alpha=values["alpha"],
                delta=values["delta"],
                limit=1,  # the plan proposes it
                test=values["test"],
                critical_bound=values.get("critical_bound"),
                alpha_by_label={key: share for key, share in own.items() if share is not None},
                scope=self.scope_of(values),
            )
        except ValueError as error:
            raise forms.ValidationError(
                _("These values do not fit together. Nothing was started; change the values.")
            ) from error
        return values


def values_of(plan: CertificatePlan) -> dict[str, Any]:
    """Return the values of the form from which a plan was made."""
    return {
        "alpha": plan.alpha,
        "delta": plan.delta,
        "critical_bound": plan.critical_bound,
        "test": plan.test,
        "overlap": plan.overlap,
        "batch": plan.batch_id,
        "scope_label": plan.scope.get("label", ""),
        "scope_metadata": plan.scope.get("metadata", ""),
        "public_words": plan.public_words,
        "note": plan.note,
        **{f"{_LABEL}{key}": share for key, share in plan.alpha_by_label.items()},
    }


class NumbersForm(forms.Form):
    """Step 2: the numbers that the plan proposes. An admin may change them."""

    limit = forms.IntegerField(
        label=_("Largest number of images that people decide"),
        min_value=1,
        max_value=MAX_AUDITS,
        help_text=_(
            "Audited images, and other images of the pool that people label before you accept the result. "
            "The planned test audits exactly this number."
        ),
    )
    first = forms.TypedChoiceField(
        label=_("First region"),
        choices=[(str(level), f"{level * 100:g} %") for level in PLAN_LEVELS],
        coerce=float,
        help_text=_(
            "The most confident part of the candidates, which is tested first. If this part does not pass, "
            "nothing is certified. Larger parts follow."
        ),
    )

    def clean(self) -> dict[str, Any]:
        """Add the levels: the chosen one, and all larger ones of a plan."""
        values = super().clean() or self.cleaned_data
        if "first" in values:
            values["levels"] = tuple(level for level in PLAN_LEVELS if level >= values["first"])
        return values
