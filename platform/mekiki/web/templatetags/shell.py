"""Tags and filters of the page shell, used on every page: `{% load shell %}`."""

from dataclasses import dataclass

from django import forms, template
from django.template.context import Context
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from mekiki.accounts.access import DatasetLike, includes_role
from mekiki.accounts.models import Role
from mekiki.jobs import progress
from mekiki.learning.figures import count, percent

register = template.Library()


@dataclass(frozen=True)
class Link:
    """One entry of a navigation."""

    name: str
    label: str
    url: str
    current: bool = False


def _reverse(name: str, *args: object) -> str:
    """Return the address of a page, or "" if the app has no such page."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


@register.simple_tag(takes_context=True)
def dataset_sections(context: Context) -> list[Link]:
    """Return the sections of the context's dataset that its `role` may open.

    `section` of the context marks the current one.
    """
    dataset, section = context["dataset"], context.get("section", "")
    role = getattr(dataset, "role", None)
    entries = [
        ("overview", pgettext("section", "Overview"), Role.VIEWER),
        ("images", pgettext("section", "Images"), Role.VIEWER),
        ("labels", pgettext("section", "Labels"), Role.VIEWER),
        ("review", pgettext("section", "Review"), Role.REVIEWER),
        ("reviewers", pgettext("section", "Reviewers"), Role.REVIEWER),
        ("models", pgettext("section", "Models"), Role.VIEWER),
        ("quality", pgettext("section", "Quality"), Role.VIEWER),
        ("exports", pgettext("section", "Label sets"), Role.VIEWER),
        ("activity", pgettext("section", "Activity"), Role.VIEWER),
        ("members", pgettext("section", "Members"), Role.ADMIN),
        ("settings", pgettext("section", "Settings"), Role.ADMIN),
    ]
    links = []
    for name, label, needed in entries:
        url = _reverse("dataset-settings" if name == "settings" else name, dataset.slug)
        if url and includes_role(role, needed):
            links.append(Link(name, label, url, current=name == section))
    return links


@register.simple_tag(takes_context=True)
def user_links(context: Context) -> list[Link]:
    """Return the entries of the user menu: the account, and pages for platform admins."""
    user = context["user"]
    entries = [
        ("account", _("Your account"), True),
        ("users", _("Users"), user.is_superuser),
        ("logins", _("Logins"), user.is_superuser),
        ("platform-activity", _("Activity of the platform"), user.is_superuser),
        ("system", _("State of the platform"), user.is_superuser),
        ("site-settings", _("Site settings"), user.is_superuser),
        ("site-storage", _("Storage"), user.is_superuser),
    ]
    links = [Link(name, label, _reverse(name)) for name, label, shown in entries if shown]
    return [link for link in links if link.url]


@register.simple_tag
def optional_url(name: str, *args: object) -> str:
    """Return an address, or "" if there is no page with that name."""
    return _reverse(name, *args)


@register.simple_tag
def running_jobs(dataset: DatasetLike) -> list[progress.JobStatus]:
    """Return the active jobs of a dataset, the running ones first."""
    return progress.active_jobs_of(dataset)


@register.filter
def is_checkbox(field: forms.BoundField) -> bool:
    """Return whether the field is one checkbox, which is placed before its label."""
    return isinstance(field.field.widget, forms.CheckboxInput)


@register.filter
def is_optional(field: forms.BoundField) -> bool:
    """Return whether a field may be left empty. Only such fields are marked "optional".

    A checkbox and a choice always have a value. A field that another field's choice makes necessary is listed
    in `needed_by_choice` of the form and explains that itself.
    """
    conditional = getattr(field.form, "needed_by_choice", ())
    without_value = isinstance(field.field, (forms.BooleanField, forms.ChoiceField))
    return not (field.field.required or without_value or field.name in conditional)


register.filter("count", count)
register.filter("percent", percent)


@register.filter
def ratio(part: int, whole: int) -> float | None:
    """Return part / whole; None if there is no whole."""
    return part / whole if whole else None
