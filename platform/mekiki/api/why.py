"""The API of the panel Why: what a prediction is based on, and the heat map.

An image that must be judged blind has no panel: every call answers 409 with the code `blind`. A panel belongs
to the user who opened it; others get 404.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import numpy as np
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from ninja import Router, Schema
from numpy.typing import NDArray
from pydantic import ConfigDict

from mekiki.accounts.http import user_of
from mekiki.api.errors import ErrorOut
from mekiki.api.review_schemas import Id
from mekiki.config.rounding import round_to_sum
from mekiki.datasets.access import dataset_for, image_for
from mekiki.datasets.models import Dataset
from mekiki.labeling.models import Label
from mekiki.learning.explaining import heat_map_state
from mekiki.learning.models import HeatMap
from mekiki.review import services
from mekiki.review.heat_words import describe_energy_map, describe_heat_map
from mekiki.review.services import PanelContent
from mekiki.review.why import LabelScore

router = Router(tags=["why"])

ERRORS = dict.fromkeys((401, 403, 404, 409, 422), ErrorOut)


class WhyIn(Schema):
    """`lease`: the hold under which the station shows the image; null for the page of the image."""

    model_config = ConfigDict(extra="forbid")

    lease: Id | None = None


class NeighbourOut(Schema):
    """A confirmed image. `similarity` is a cosine: it orders, it is no probability.

    `confirmed_at_text`: the time as pages show it, in the time zone of the site.
    """

    sha256: str
    name: str
    url: str
    thumb_url: str
    page_url: str
    width: int
    height: int
    similarity: float
    confirmed_by: str
    confirmed_at: datetime
    confirmed_at_text: str


class NeighboursOut(Schema):
    """The nearest images that are confirmed as this label, the most similar first."""

    label: int
    name: str
    images: list[NeighbourOut]


class PromptOut(Schema):
    """One prompt. `points` is what it adds to the score, `similarity` its cosine to the image."""

    id: int
    text: str
    similarity: float
    points: float


class ScoreOut(Schema):
    """The score of a label in logits. `prompts` and `trained` add up to it, the prompts' points to `prompts`.

    The numbers are rounded so that these sums hold.
    """

    label: int
    name: str
    score: float
    prompts: float
    trained: float
    shares: list[PromptOut]


class LabelOut(Schema):
    """A label."""

    id: int
    name: str


class WhyOut(Schema):
    """What a prediction is based on. `id` names the panel in an answer, and for its heat map.

    `labels`: the predicted label, then the runner-up if there is one. `exact`: no nearer image was missed.
    `scores_state` is `waiting` while a worker reads the prompts; ask again in a moment.
    """

    id: UUID
    url: str
    heat_map_url: str
    head: int
    head_kind: str
    labels: list[LabelOut]
    neighbours: list[NeighboursOut]
    neighbours_problem: str
    exact: bool
    scores: list[ScoreOut]
    scores_state: Literal["ready", "waiting", "problem"]
    scores_problem: str


class HeatMapOut(Schema):
    """Which parts of the image change the lead of the predicted label over the runner-up.

    `values` has a list for each row of a grid over `view`, which is what the encoder sees: left, top, right \
and bottom, as shares of the image. A positive value supports the predicted label. `words`: the map in a \
sentence. While it is `computing`, ask again in a moment; `progress` goes from 0 to 1.

    `energy` has a list for each row of a grid over the whole image: how much fine structure is there, 0 or \
more. It describes the image and not the prediction. It is empty if the dataset does not use the local detail.
    """

    state: Literal["ready", "computing", "failed"]
    progress: float
    method: str
    values: list[list[float]]
    view: list[float]
    words: str
    energy: list[list[float]]
    energy_words: str
    problem: str


@router.post(
    "/{slug:slug}/images/{str:sha256}/why",
    response={200: WhyOut, **ERRORS},
    url_name="why-open",
    summary="Why this prediction",
)
def open_panel(request: HttpRequest, slug: str, sha256: str, body: WhyIn) -> dict[str, Any]:
    """Open a panel for an image. With a lease, for the prediction that the station showed under it."""
    image = image_for(user_of(request), slug, sha256)
    content = services.open_panel(
        dataset=image.dataset, user=user_of(request), image_id=image.pk, lease_id=body.lease
    )
    return _panel_out(image.dataset, content)


@router.get(
    "/{slug:slug}/why/{uuid:panel}",
    response={200: WhyOut, **ERRORS},
    url_name="why",
    summary="A panel again",
)
def panel(request: HttpRequest, slug: str, panel: UUID) -> dict[str, Any]:
    """Return what the panel shows now, for example after a worker has read the prompts."""
    dataset = dataset_for(user_of(request), slug)
    content = services.panel_content(dataset=dataset, user=user_of(request), panel_id=panel)
    return _panel_out(dataset, content)


@router.post(
    "/{slug:slug}/why/{uuid:panel}/heat-map",
    response={200: HeatMapOut, **ERRORS},
    url_name="why-heat-map",
    summary="The heat map of a panel",
)
def heat_map(request: HttpRequest, slug: str, panel: UUID) -> dict[str, Any]:
    """Return the heat map, or ask a worker for it. One at a time for each user (409 heat_map_running)."""
    dataset = dataset_for(user_of(request), slug)
    row = services.request_heat_map(dataset=dataset, user=user_of(request), panel_id=panel)
    return _heat_map_out(row)


def _panel_out(dataset: Dataset, content: PanelContent) -> dict[str, Any]:
    scores, neighbours = content.scores, content.neighbours
    return {
        "id": content.panel.pk,
        "url": reverse("api:why", args=[dataset.slug, content.panel.pk]),
        "heat_map_url": reverse("api:why-heat-map", args=[dataset.slug, content.panel.pk]),
        "head": content.panel.head.version,
        "head_kind": content.panel.head.kind,
        "labels": [{"id": label.pk, "name": label.name} for label in content.labels],
        "neighbours": [
            _neighbours_out(dataset, label, content)
            for label in content.labels
            if label.pk in neighbours.hits
        ],
        "neighbours_problem": neighbours.problem,
        "exact": neighbours.exact,
        "scores": [_score_out(score) for score in scores.labels],
        "scores_state": "waiting" if scores.waiting else "problem" if scores.problem else "ready",
        "scores_problem": scores.problem,
    }


def _neighbours_out(dataset: Dataset, label: Label, content: PanelContent) -> dict[str, Any]:
    images = []
    for hit in content.neighbours.hits[label.pk]:
        image, decision = hit.confirmed.image, hit.confirmed.decision
        address = [dataset.slug, image.sha256]
        images.append(
            {
                "sha256": image.sha256,
                "name": image.name,
                "url": reverse("image-display", args=address),
                "thumb_url": reverse("image-thumb", args=address),
                "page_url": reverse("image", args=address),
                "width": image.width,
                "height": image.height,
                "similarity": round(hit.similarity, 4),
                # As on the page of an image, which every member may open.
                "confirmed_by": decision.user.username,
                "confirmed_at": decision.created_at,
                "confirmed_at_text": f"{timezone.localtime(decision.created_at):%Y-%m-%d %H:%M}",
            }
        )
    return {"label": label.pk, "name": label.name, "images": images}


def _score_out(one: LabelScore) -> dict[str, Any]:
    parts = one.parts
    score, prompts = round(parts.score, 2), round(parts.prompts, 2)
    points = round_to_sum([share.points for share in parts.shares], prompts)
    return {
        "label": one.label.pk,
        "name": one.label.name,
        "score": score,
        "prompts": prompts,
        "trained": round(score - prompts, 2),
        "shares": [
            {
                "id": share.prompt,
                "text": one.prompts[share.prompt].text,
                "similarity": round(share.similarity, 4),
                "points": rounded,
            }
            for share, rounded in zip(parts.shares, points, strict=True)
        ],
    }


def _heat_map_out(row: HeatMap) -> dict[str, Any]:
    state = heat_map_state(row)
    out: dict[str, Any] = {
        "state": "computing",
        "progress": 0.0,
        "method": "",
        "values": [],
        "view": [],
        "words": "",
        "energy": [],
        "energy_words": "",
        "problem": "",
    }
    if state.problem is not None:
        return {**out, "state": "failed", "problem": state.problem.sentence(state.detail)}
    if state.values is None:
        return {**out, "progress": min(1.0, row.done / row.total) if row.total else 0.0}
    if state.energy is not None and row.image.dataset.use_detail:
        out["energy"] = _rounded(state.energy)
        out["energy_words"] = describe_energy_map(state.energy)
    change = (row.lead or 0.0) - (row.blurred_lead or 0.0)
    return {
        **out,
        "state": "ready",
        "progress": 1.0,
        "method": row.method,
        "values": _rounded(state.values),
        "view": row.view,
        "words": describe_heat_map(state.values, row.view, row.label.name, change=change),
    }


def _rounded(values: NDArray[np.float32]) -> list[list[float]]:
    return [[round(float(value), 4) for value in line] for line in values]
