"""The form that starts a certificate. Shares are entered in percent."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from mekiki.datasets.models import Dataset, ImportBatch
from mekiki.quality.certificate_scope import ScopeFields
from mekiki.quality.models import Certificate
from mekiki.quality.services.certificates.starting import MAX_AUDITS, MAX_NOTE, MAX_PUBLIC_WORDS
from verification.certificates.protocol import LEVELS, Protocol

LAST_FIELDS = ("batch", "scope_label", "scope_metadata", "public_words", "note")


class ImportChoiceField(forms.ModelChoiceField):
    """The choice of one import, named by its number and date."""

    def label_from_instance(self, obj: ImportBatch) -> str:
        """Return the words of one import."""
        return _("import %(number)d, %(day)s") % {"number": obj.pk, "day": f"{obj.created_at:%Y-%m-%d}"}


class CertificateForm(ScopeFields):
    """The statement of a certificate, and how it is tested."""

    alpha = forms.FloatField(
        label=_("Largest share of wrong labels set by machine (%)"),
        initial=2,
        min_value=0,
        max_value=50,
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text=_("The certificate states this limit. A smaller share needs more audited images."),
    )
    delta = forms.FloatField(
        label=_("Risk that the statement is false (%)"),
        initial=5,
        min_value=0.0001,
        max_value=50,
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text=_(
            "With 5 %, at most 5 of 100 certificates are granted although the share of wrong labels is "
            "larger."
        ),
    )
    test = forms.ChoiceField(
        label=_("Test"),
        choices=Certificate.Test.choices,
        initial=Certificate.Test.WATCHED,
        widget=forms.RadioSelect,
        help_text=_(
            "The watched test ends as soon as the answers are sufficient. The planned test always audits the "
            "number of images below."
        ),
    )
    limit = forms.IntegerField(
        label=_("Largest number of images that people decide"),
        initial=300,
        min_value=1,
        max_value=MAX_AUDITS,
        help_text=_(
            "Audited images, and other images of the pool that people label before you accept the result. "
            "The planned test audits exactly this number."
        ),
    )
    overlap = forms.TypedChoiceField(
        label=_("Reviewers for each audited image"),
        choices=[(1, "1"), (2, "2"), (3, "3")],
        coerce=int,
        initial=1,
        help_text=_("Different answers count as an error until they are resolved."),
    )
    critical_bound = forms.FloatField(
        label=_("Leave an image to people if the probability of a critical label is above this value (%)"),
        initial=5,
        min_value=0,
        max_value=100,
        widget=forms.NumberInput(attrs={"step": "any"}),
        help_text=_("Critical labels are never set by machine. This bound also excludes doubtful images."),
    )
    batch = ImportChoiceField(
        label=_("Images"),
        queryset=ImportBatch.objects.none(),
        required=False,
        empty_label=_("all images of the dataset"),
    )
    public_words = forms.CharField(
        label=_("Public words"),
        required=False,
        max_length=MAX_PUBLIC_WORDS,
        help_text=_(
            "For example dice or the result of a lottery draw. The audit order depends on them, so that "
            "nobody can choose the order."
        ),
    )
    note = forms.CharField(label=_("Note"), required=False, max_length=MAX_NOTE)

    def __init__(self, *args: Any, dataset: Dataset, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        batch = self.fields["batch"]
        assert isinstance(batch, ImportChoiceField)
        batch.queryset = ImportBatch.objects.filter(dataset=dataset, finished_at__isnull=False)
        self.set_scope_choices(dataset)
        # The scope follows the choice of the import, not the first fields.
        self.order_fields([*(name for name in self.fields if name not in LAST_FIELDS), *LAST_FIELDS])
        if not dataset.labels.filter(critical=True, archived_at__isnull=True).exists():
            del self.fields["critical_bound"]

    def clean(self) -> dict[str, Any]:
        """Add the protocol, or a general error if its values do not fit together."""
        values = super().clean() or self.cleaned_data
        if self.errors:
            return values
        bound = values.get("critical_bound")
        try:
            values["protocol"] = Protocol(
                alpha=values["alpha"] / 100,
                delta=values["delta"] / 100,
                limit=values["limit"],
                levels=LEVELS,
                test=values["test"],
                critical_bound=None if bound is None else bound / 100,
                scope=self.scope_of(values),
            )
        except ValueError as error:
            raise forms.ValidationError(
                _("These values do not fit together. Nothing was started; change the values.")
            ) from error
        return values
