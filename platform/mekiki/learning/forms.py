"""The form that sets when heads are retrained: after a number of answers, and on a schedule."""

from datetime import time
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from mekiki.accounts import site
from mekiki.datasets.forms import MOST_ANSWERS_BEFORE_TRAINING
from mekiki.learning.cron import ADVANCED, DAILY, HOURLY, HOURS, OFF, WEEKLY, Plan, from_cron, to_cron

WEEKDAYS = [
    (1, _("Monday")),
    (2, _("Tuesday")),
    (3, _("Wednesday")),
    (4, _("Thursday")),
    (5, _("Friday")),
    (6, _("Saturday")),
    (0, _("Sunday")),
]


class ScheduleForm(forms.Form):
    """Form for the retraining schedule of one dataset."""

    needed_by_choice = frozenset({"at", "weekday", "hours", "cron"})

    retrain_every = forms.IntegerField(
        label=_("Retrain after this many answers"),
        min_value=0,
        max_value=MOST_ANSWERS_BEFORE_TRAINING,
        help_text=_("0: only manually or on schedule."),
    )
    mode = forms.ChoiceField(
        label=_("Retrain on schedule"),
        choices=[
            (OFF, _("off")),
            (DAILY, _("every day at a time")),
            (WEEKLY, _("every week on a day")),
            (HOURLY, _("every few hours")),
            (ADVANCED, _("by a crontab line")),
        ],
    )
    at = forms.TimeField(
        label=_("Time"),
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text=_("For every day and every week."),
    )
    weekday = forms.TypedChoiceField(label=_("Day"), choices=WEEKDAYS, coerce=int, required=False)
    hours = forms.TypedChoiceField(
        label=_("Hours between"), choices=[(n, str(n)) for n in HOURS], coerce=int, required=False
    )
    cron = forms.CharField(
        label=_("Crontab line"),
        required=False,
        max_length=100,
        help_text=_(
            "Minute, hour, day, month, weekday: for example “30 6 * * 1-5”, half past six on working days."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["mode"].help_text = _("Times are in the site's time zone, %(zone)s.") % {
            "zone": site.zone_name()
        }

    def clean(self) -> dict[str, Any]:
        """Check that the fields of the chosen kind of schedule are filled in."""
        values = super().clean() or self.cleaned_data
        mode = values.get("mode")
        if mode in {DAILY, WEEKLY} and values.get("at") is None and "at" not in self.errors:
            self.add_error("at", _("Choose a time."))
        if mode == WEEKLY and values.get("weekday") in {None, ""}:
            self.add_error("weekday", _("Choose a day."))
        if mode == HOURLY and not values.get("hours"):
            self.add_error("hours", _("Choose the number of hours between two trainings."))
        if mode == ADVANCED and not values.get("cron", "").strip():
            self.add_error("cron", _("Write the crontab line."))
        return values

    def cron_line(self) -> str:
        """Return the chosen schedule as a crontab line, or "" if it is off."""
        values = self.cleaned_data
        at = values.get("at") or time(3, 0)
        return to_cron(
            Plan(
                values["mode"],
                at.hour,
                at.minute,
                weekday=values["weekday"] if values.get("weekday") not in {None, ""} else 1,
                hours=values.get("hours") or HOURS[-1],
                cron=values.get("cron", ""),
            )
        )

    @staticmethod
    def values_of(cron: str, retrain_every: int) -> dict[str, Any]:
        """Return the form's initial values for a crontab line."""
        plan = from_cron(cron)
        return {
            "retrain_every": retrain_every,
            "mode": plan.mode,
            "at": time(plan.hour, plan.minute),
            "weekday": plan.weekday,
            "hours": plan.hours,
            "cron": plan.cron,
        }


def schedule_phrase(cron: str) -> str:
    """Return a schedule as a phrase, for users who may not change it."""
    plan = from_cron(cron)
    at = f"{plan.hour:02}:{plan.minute:02}"
    if plan.mode == OFF:
        return str(_("off"))
    if plan.mode == DAILY:
        return str(_("every day at %(time)s")) % {"time": at}
    if plan.mode == WEEKLY:
        return str(_("every %(day)s at %(time)s")) % {"day": dict(WEEKDAYS)[plan.weekday], "time": at}
    if plan.mode == HOURLY:
        return str(_("every %(n)d hours")) % {"n": plan.hours}
    return plan.cron
