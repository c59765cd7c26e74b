"""Views of the members of a dataset and their roles.

They are here and not in accounts, because accounts may not import datasets.
"""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from mekiki.accounts import selectors, services
from mekiki.accounts.confirming import require_confirmation
from mekiki.accounts.forms import MemberForm
from mekiki.accounts.http import user_of
from mekiki.accounts.models import Membership, Role, User
from mekiki.datasets.access import dataset_for
from mekiki.datasets.models import Dataset


@require_http_methods(["GET", "HEAD", "POST"])
@require_confirmation
def members(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the members of a dataset. Its admins add a member by user name."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    form = MemberForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["name"]
        user = selectors.user_named(name)
        if user is None or not user.is_active:
            form.add_error(
                "name", _("No active user has this name. An admin of the platform can create one.")
            )
        elif Membership.objects.filter(dataset=dataset, user=user).exists():
            form.add_error("name", _("This user is a member already. Change the role in the list."))
        else:
            services.set_role(
                dataset=dataset, user=user, role=form.cleaned_data["role"], actor=user_of(request)
            )
            messages.success(request, _("%(name)s is a member now.") % {"name": user.username})
            return redirect("members", slug)
    context = {
        "dataset": dataset,
        "section": "members",
        "members": selectors.members(dataset),
        "roles": Role.choices,
        "form": form,
    }
    return render(request, "accounts/members.html", context, status=422 if form.errors else 200)


def _member(dataset: Dataset, user_id: int) -> User:
    membership = selectors.members(dataset).filter(user_id=user_id).first() if user_id < 2**63 else None
    if membership is None:
        raise Http404
    return membership.user


@require_POST
@require_confirmation
def set_member_role(request: HttpRequest, slug: str, user_id: int) -> HttpResponse:
    """Give a member another role."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    user = _member(dataset, user_id)
    try:
        services.set_role(
            dataset=dataset, user=user, role=request.POST.get("role", ""), actor=user_of(request)
        )
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("The role of %(name)s is changed.") % {"name": user.username})
    return _back(request, dataset)


@require_POST
@require_confirmation
def set_adjudicator(request: HttpRequest, slug: str, user_id: int) -> HttpResponse:
    """Make a member an adjudicator, or end this."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    user = _member(dataset, user_id)
    chosen = request.POST.get("adjudicator") == "yes"
    try:
        services.set_adjudicator(dataset=dataset, user=user, adjudicator=chosen, actor=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        text = _("%(name)s is an adjudicator now.") if chosen else _("%(name)s is no adjudicator any more.")
        messages.success(request, text % {"name": user.username})
    return _back(request, dataset)


@require_POST
@require_confirmation
def remove_member(request: HttpRequest, slug: str, user_id: int) -> HttpResponse:
    """Remove a member from a dataset. The member's decisions stay."""
    dataset = dataset_for(user_of(request), slug, Role.ADMIN)
    user = _member(dataset, user_id)
    try:
        services.remove_member(dataset=dataset, user=user, actor=user_of(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("%(name)s is no member any more.") % {"name": user.username})
    return _back(request, dataset)


def _back(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """Redirect to the list of members, or home if the users removed their own right to see it."""
    user = user_of(request)
    still = (
        user.is_superuser or Membership.objects.filter(dataset=dataset, user=user, role=Role.ADMIN).exists()
    )
    return redirect("members", dataset.slug) if still else redirect("home")
