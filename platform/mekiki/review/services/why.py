"""The panel Why: who may open it, what it shows, and the heat map in it."""

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from mekiki.accounts.access import require_role
from mekiki.accounts.models import Role, User
from mekiki.config import clock
from mekiki.datasets.models import Dataset, Image
from mekiki.labeling.models import Label
from mekiki.learning import explaining
from mekiki.learning.models import Head, HeatMap, Prediction
from mekiki.learning.selectors import champion
from mekiki.review.errors import InvalidAnswerError, NotFoundForReviewerError, ReviewError
from mekiki.review.models import Lease, WhyPanel
from mekiki.review.why import Neighbours, Scores, is_blind, is_on_page, nearest_confirmed, score_of_labels

# Panels of an image's page are kept for this long; panels of the station as long as their lease.
PAGE_PANELS_KEPT = timedelta(days=1)


@dataclass(frozen=True)
class PanelContent:
    """A panel with what it shows now."""

    panel: WhyPanel
    neighbours: Neighbours
    scores: Scores
    labels: list[Label] = field(default_factory=list)  # the predicted label, then the runner-up, if any


def open_panel(*, dataset: Dataset, user: User, image_id: int, lease_id: int | None = None) -> PanelContent:
    """Return the panel of an image with what it shows. The first call for a user, lease and head creates it.

    With a lease, the panel explains the prediction that the station showed under it, which may be of an
    earlier head. Without a lease, it explains the prediction of the head in use.

    Raises PermissionDenied if the user is not a member of the dataset, or with a lease not a reviewer. Raises
    NotFoundForReviewerError if the dataset has no such image, or the user no such lease for it. Raises
    ReviewError if the image must be judged blind, is on the user's page of the grid review, or has no
    prediction.
    """
    require_role(user, dataset, Role.VIEWER if lease_id is None else Role.REVIEWER)
    image = Image.objects.filter(dataset=dataset, pk=image_id).first()
    if image is None:
        raise NotFoundForReviewerError("unknown_image", _("There is no such image in this dataset."))
    lease = _lease(user, image, lease_id) if lease_id is not None else None
    _refuse_on_page(user, image)
    if (lease is not None and lease.shown.get("blind")) or is_blind(dataset, image):
        raise _blind()
    head, label, runner_up = _shown_prediction(dataset, image, lease)
    panel, _is_new = WhyPanel.objects.get_or_create(
        user=user,
        image=image,
        lease=lease,
        head=head,
        defaults={"label": label, "runner_up": runner_up},
    )
    explaining.prepare_encoder(head.encoder)
    return _fill(dataset, panel)


def panel_content(*, dataset: Dataset, user: User, panel_id: uuid.UUID) -> PanelContent:
    """Return what a panel of the user shows now, for example after a worker has computed the prompts.

    Raises PermissionDenied if the user is not a member of the dataset. Raises NotFoundForReviewerError if the
    user has no such panel. Raises ReviewError if the image must be judged blind now.
    """
    return _fill(dataset, _panel_for(dataset, user, panel_id))


def request_heat_map(*, dataset: Dataset, user: User, panel_id: uuid.UUID) -> HeatMap:
    """Return the heat map of a panel. The first request for an image and head sends it to a worker.

    Raises the errors of `panel_content`. Raises ReviewError if another heat map of the user is being
    computed.
    """
    panel = _panel_for(dataset, user, panel_id)
    try:
        row = explaining.request_heat_map(
            image=panel.image, head=panel.head, label=panel.label, runner_up=panel.runner_up, user=user
        )
    except explaining.OpenHeatMapError:
        raise ReviewError(
            "heat_map_running",
            _(
                "Another heat map for you is being computed. No heat map was started; try again when the "
                "other heat map is ready."
            ),
        ) from None
    if row.digest:
        shown = {"method": str(row.method), "digest": row.digest}
        if row.energy and dataset.use_detail:
            shown["energy"] = hashlib.sha256(bytes(row.energy)).hexdigest()
        if panel.shown.get("heat_map") != shown:
            _record_shown(panel, heat_map=shown)
    return row


def shown_of_panel(*, user: User, lease: Lease, panel_id: uuid.UUID) -> dict[str, Any]:
    """Return what the panel showed, for the decision of this lease.

    Raises InvalidAnswerError if the user has no such panel of this lease.
    """
    row = WhyPanel.objects.filter(pk=panel_id, user=user, lease=lease).first()
    if row is None:
        raise InvalidAnswerError(
            "unknown_panel",
            _(
                "The panel “Why” in this answer does not belong to the image. Nothing was recorded; answer "
                "again."
            ),
        )
    return {"panel": str(row.pk), **row.shown}


def delete_old_panels() -> int:
    """Delete the panels of images' pages after PAGE_PANELS_KEPT, and return how many.

    Panels of the station are deleted with their lease.
    """
    old = WhyPanel.objects.filter(lease=None, created_at__lt=clock.now() - PAGE_PANELS_KEPT)
    return old.delete()[0]


def _lease(user: User, image: Image, lease_id: int) -> Lease:
    lease = Lease.objects.filter(pk=lease_id, user=user, item__image=image, ended_at__isnull=True).first()
    if lease is None:
        raise NotFoundForReviewerError("unknown_lease", _("This image is no longer leased to you."))
    return lease


def _panel_for(dataset: Dataset, user: User, panel_id: uuid.UUID) -> WhyPanel:
    require_role(user, dataset, Role.VIEWER)
    rows = WhyPanel.objects.select_related("image", "head__encoder", "label", "runner_up", "lease")
    panel = rows.defer("head__weights").filter(pk=panel_id, user=user, image__dataset=dataset).first()
    if panel is None:
        raise NotFoundForReviewerError(
            "unknown_panel", _("This panel does not exist any more. Open it again.")
        )
    if panel.lease is not None:
        require_role(user, dataset, Role.REVIEWER)
    _refuse_on_page(user, panel.image)
    # The image may have been drawn for a blind review since the panel was opened.
    if is_blind(dataset, panel.image):
        raise _blind()
    return panel


def _refuse_on_page(user: User, image: Image) -> None:
    """Raise ReviewError if the user has the image on a page of the grid review."""
    if is_on_page(user, image):
        raise ReviewError(
            "on_page",
            _(
                "This image is on your page of the grid review, whose images have no panel “Why”. Answer the "
                "page first."
            ),
        )


def _blind() -> ReviewError:
    return ReviewError(
        "blind",
        _(
            "This image must be judged without seeing a prediction, so the panel “Why” stays closed. Look at "
            "the image, then answer."
        ),
    )


def _shown_prediction(
    dataset: Dataset, image: Image, lease: Lease | None
) -> tuple[Head, Label, Label | None]:
    """Return the head, the predicted label and the runner-up that the screen shows."""
    ids: tuple[int | None, int | None] = (None, None)
    if lease is not None:
        heads = Head.objects.filter(dataset=dataset, version=lease.shown.get("head") or 0)
        head = heads.select_related("encoder").defer("weights").first()
        ids = (lease.shown.get("label"), lease.shown.get("runner_up"))
    else:
        head = champion(dataset)
        # The id is a constant, so that the database opens only the partition of this head.
        row = Prediction.objects.filter(head_id=head.pk, image=image).first() if head is not None else None
        ids = (row.label_id, row.runner_up_id) if row is not None else ids
    # A page does not show a label that was archived. The station shows what was leased.
    shown_labels = Label.objects.filter(dataset=dataset, pk__in=[pk for pk in ids if pk])
    if lease is None:
        shown_labels = shown_labels.filter(archived_at__isnull=True)
    labels = {label.pk: label for label in shown_labels}
    if head is None or ids[0] not in labels:
        raise ReviewError(
            "no_prediction",
            _(
                "This image has no prediction yet, so the panel has nothing to explain. Open the panel "
                "again after the next predictions."
            ),
        )
    return head, labels[ids[0]], labels.get(ids[1] or 0)


def _fill(dataset: Dataset, panel: WhyPanel) -> PanelContent:
    """Return what the panel shows, and record it in the row."""
    labels = [panel.label] + ([panel.runner_up] if panel.runner_up is not None else [])
    neighbours = nearest_confirmed(dataset=dataset, head=panel.head, image=panel.image, labels=labels)
    scores = score_of_labels(head=panel.head, image=panel.image, labels=labels)
    _record_shown(
        panel,
        neighbours=[hit.confirmed.image_id for hits in neighbours.hits.values() for hit in hits],
        prompts=[share.prompt for score in scores.labels for share in score.parts.shares],
    )
    return PanelContent(panel, neighbours, scores, labels)


def _record_shown(panel: WhyPanel, **shown: Any) -> None:
    """Add to what the panel showed. Everything that was ever sent stays in it."""
    with transaction.atomic():
        row = WhyPanel.objects.select_for_update(no_key=True).get(pk=panel.pk)
        before = {"neighbours": [], "prompts": [], "heat_map": None} | row.shown
        for name in ("neighbours", "prompts"):
            before[name] = list(dict.fromkeys([*before[name], *shown.pop(name, [])]))
        row.shown = before | shown
        row.save(update_fields=["shown"])
    panel.shown = row.shown
