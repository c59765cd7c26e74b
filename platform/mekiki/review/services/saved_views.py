"""Saved views of the gallery."""

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import includes_role, require_role, role_in
from mekiki.accounts.models import Role, User
from mekiki.audit.services import record
from mekiki.datasets.models import Dataset
from mekiki.review.errors import InvalidAnswerError, ReviewError
from mekiki.review.finding import query_of_filters
from mekiki.review.models import SavedView
from mekiki.review.models.selections import NAME_LENGTH

MOST_VIEWS = 200


@transaction.atomic
def save_view(*, dataset: Dataset, user: User, name: str, query: str) -> SavedView:
    """Save filters of the gallery under a name, and return the view.

    `query`: the query string of the gallery. Order, page and unknown parameters are left out. Raises
    PermissionDenied unless the user is a reviewer. Raises InvalidAnswerError if the name is empty or too
    long, or as query_of_filters does. Raises ReviewError if the name is taken or there are too many views.
    """
    require_role(user, dataset, Role.REVIEWER)
    name = check_name(name)
    kept = query_of_filters(dataset, user, query)
    if SavedView.objects.filter(dataset=dataset).count() >= MOST_VIEWS:
        raise ReviewError(
            "too_many_views", _("There are too many saved views. Delete one. Nothing was saved.")
        )
    try:
        with transaction.atomic():
            view = SavedView.objects.create(dataset=dataset, name=name, query=kept, created_by=user)
    except IntegrityError:
        raise ReviewError(
            "name_taken", _("Another view has this name. Nothing was saved; choose another name.")
        ) from None
    record(kind="view.saved", actor=user, dataset=dataset, target=view, data={"name": name})
    return view


@transaction.atomic
def delete_view(*, dataset: Dataset, user: User, view: SavedView) -> None:
    """Delete a saved view. The images stay.

    Raises PermissionDenied unless the user saved the view or is an admin of the dataset.
    """
    require_role(user, dataset, Role.REVIEWER)
    if view.created_by_id != user.pk and not includes_role(role_in(user, dataset), Role.ADMIN):
        raise PermissionDenied(_("Only an admin or the user who saved the view can delete it."))
    record(kind="view.deleted", actor=user, dataset=dataset, target=view, data={"name": view.name})
    view.delete()


def check_name(name: str) -> str:
    """Return the name of a view or tag, trimmed. Raises InvalidAnswerError if it is not valid."""
    name = " ".join(name.split())
    if not name or len(name) > NAME_LENGTH or not name.isprintable():
        raise InvalidAnswerError(
            "name",
            _("Write a name of 1 to %(most)d characters. Nothing was changed.") % {"most": NAME_LENGTH},
        )
    return name
