"""Heat maps: a page asks, the search worker computes, and the rows are the cache.

The search worker is a small process of its own, so that a map does not wait for a training.
"""

import hashlib
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from numpy.typing import NDArray

from mekiki.accounts.models import User
from mekiki.config import clock
from mekiki.datasets.models import Image
from mekiki.jobs import broker
from mekiki.labeling.models import Label
from mekiki.learning.explaining.requests import (
    EXPIRES,
    NO_WORKER_AFTER,
    RESEND_AFTER,
    RETRY_AFTER,
    Problem,
)
from mekiki.learning.messages import EXPLANATIONS
from mekiki.learning.models import Head, HeatMap
from mekiki.learning.search.texts import QUEUE

TASK = "workers.tasks.draw_heat_map"
# Increase it when the worker would draw another map for the same question.
RECIPE = 2
KEEP = 20_000  # maps in the cache, each 1 to 3 kB; the most recently used stay


class OpenHeatMapError(Exception):
    """Raised if another heat map of the user is being computed."""


@dataclass(frozen=True)
class HeatMapState:
    """A heat map as pages show it: ready with `values` (rows, columns), computing, or a problem.

    `energy` (rows, columns) is the map of the fine structure of the image, None if it could not be computed.
    """

    values: NDArray[np.float32] | None = None
    energy: NDArray[np.float32] | None = None
    problem: Problem | None = None
    detail: dict[str, Any] = field(default_factory=dict)


def request_heat_map(
    *, image: Image, head: Head, label: Label, runner_up: Label | None, user: User
) -> HeatMap:
    """Return the heat map of a question, and request it from the search worker if it is not known.

    The same question twice gives the same row. Raises OpenHeatMapError if another heat map of this user is
    being computed.
    """
    now = clock.now()
    question = {"image": image, "head": head, "label": label, "runner_up": runner_up, "recipe": RECIPE}
    row = HeatMap.objects.filter(**question).first()
    if row is None:
        _end_abandoned(user)
        try:
            with transaction.atomic():
                row = HeatMap.objects.create(
                    **question, created_by=user, began_at=now, asked_at=now, used_at=now
                )
                transaction.on_commit(partial(_send, row))
        except IntegrityError:  # another request was faster, with this question or with another one
            row = HeatMap.objects.filter(**question).first()
            if row is None:
                raise OpenHeatMapError from None
    elif row.problem and row.answered_at and clock.has_passed(RETRY_AFTER, row.answered_at, at=now):
        _end_abandoned(user)
        again = HeatMap.objects.filter(pk=row.pk, answered_at=row.answered_at)
        fresh: dict[str, Any] = {
            "problem": "",
            "detail": {},
            "answered_at": None,
            # Not empty for a moment: a request about another image would take the map for abandoned.
            "asked_at": now,
            "began_at": now,
        }
        try:
            with transaction.atomic():
                if again.update(**fresh, done=0, total=0, created_by=user):
                    transaction.on_commit(partial(_send, row))
        except IntegrityError:
            raise OpenHeatMapError from None
        row.refresh_from_db()
    elif row.answered_at is None:
        _send_when_due(row)
    HeatMap.objects.filter(pk=row.pk).update(used_at=now)
    return row


def _end_abandoned(user: User) -> None:
    """End the requests of this user for which nobody has waited for EXPIRES. Their worker may be gone."""
    for row in HeatMap.objects.filter(created_by=user, answered_at__isnull=True):
        if row.asked_at is None or clock.has_passed(EXPIRES, row.asked_at):
            HeatMap.objects.filter(pk=row.pk, answered_at__isnull=True, asked_at=row.asked_at).delete()


def _send_when_due(row: HeatMap) -> None:
    """Send a message to the worker if none was sent a moment ago. `asked_at` stays empty if this fails."""
    now = clock.now()
    if row.asked_at is not None and not clock.has_passed(RESEND_AFTER, row.asked_at, at=now):
        return
    lately = row.asked_at is not None and not clock.has_passed(EXPIRES, row.asked_at, at=now)
    began = {} if lately or row.asked_at is None else {"began_at": now}
    due = HeatMap.objects.filter(pk=row.pk, answered_at__isnull=True, asked_at=row.asked_at)
    if due.update(asked_at=now, **began):
        row.asked_at, row.began_at = now, began.get("began_at", row.began_at)
        transaction.on_commit(partial(_send, row))


def _send(row: HeatMap) -> None:
    if not broker.send(TASK, [row.pk], queue=QUEUE):
        row.asked_at = None
        HeatMap.objects.filter(pk=row.pk, answered_at__isnull=True).update(asked_at=None)


def heat_map_state(row: HeatMap) -> HeatMapState:
    """Return what a page shows of a heat map now."""
    if row.problem:
        return HeatMapState(problem=Problem(row.problem), detail=row.detail)
    if row.answered_at is not None:
        values = np.frombuffer(bytes(row.values), "<f4").reshape(row.rows, row.columns)
        energy = np.frombuffer(bytes(row.energy), "<f4") if row.energy else None
        if energy is not None:
            energy = energy.reshape(row.energy_rows, row.energy_columns)
        return HeatMapState(values=values, energy=energy)
    if row.asked_at is None:
        return HeatMapState(problem=Problem.NOT_SENT)
    if clock.has_passed(NO_WORKER_AFTER, row.began_at) and not row.done:
        return HeatMapState(problem=Problem.NO_WORKER)
    return HeatMapState()


def waiting_heat_map(pk: int) -> HeatMap | None:
    """Return a map that waits for a worker, or None if it was answered or if its request is too old."""
    rows = HeatMap.objects.select_related("image", "head__encoder", "label", "runner_up")
    row = rows.filter(pk=pk, answered_at__isnull=True).first()
    if row is None or row.asked_at is None:
        return row
    now = clock.now()
    return None if row.asked_at <= now and clock.has_passed(EXPIRES, row.asked_at, at=now) else row


def record_heat_map(
    *,
    row: HeatMap,
    values: NDArray[np.floating],
    method: str,
    view: tuple[float, float, float, float],
    lead: float,
    blurred_lead: float,
    energy: NDArray[np.floating] | None = None,
) -> None:
    """Store the values (rows, columns) of a map, and of the map of the fine structure of its image.

    Raises ValueError if they are no maps of finite numbers.
    """
    array = _checked_map(values)
    if not np.isfinite([*view, lead, blurred_lead]).all():
        raise ValueError("the values of a map must be finite")
    data = array.tobytes()
    structure = None if energy is None else _checked_map(energy)
    if structure is None:
        beside: dict[str, Any] = {"energy": b"", "energy_rows": 0, "energy_columns": 0}
    else:
        rows, columns = structure.shape
        beside = {"energy": structure.tobytes(), "energy_rows": rows, "energy_columns": columns}
    HeatMap.objects.filter(pk=row.pk).update(
        values=data,
        digest=hashlib.sha256(data).hexdigest(),
        rows=array.shape[0],
        columns=array.shape[1],
        method=HeatMap.Method(method),
        view=list(view),
        lead=lead,
        blurred_lead=blurred_lead,
        problem="",
        detail={},
        answered_at=Now(),
        **beside,
    )


def _checked_map(values: NDArray[np.floating]) -> NDArray[np.float32]:
    array = np.ascontiguousarray(values, "<f4")
    if array.ndim != 2 or not 1 <= min(array.shape) <= max(array.shape) <= 64:
        raise ValueError(f"a map has between 1 and 64 rows and columns, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("the values of a map must be finite")
    return array


def record_heat_map_progress(*, row: HeatMap, done: int, total: int) -> None:
    """Store how many images of a map are computed."""
    HeatMap.objects.filter(pk=row.pk, answered_at__isnull=True).update(done=done, total=total)


def record_heat_map_problem(*, row: HeatMap, problem: Problem, **detail: Any) -> None:
    """Store why there is no map. Raises TypeError if a value of `detail` is no JSON scalar."""
    EXPLANATIONS.check(problem, detail)
    HeatMap.objects.filter(pk=row.pk, values=b"").update(problem=problem, detail=detail, answered_at=Now())


def delete_unused_heat_maps(keep: int = KEEP) -> int:
    """Delete the least recently used maps beyond `keep`, and return the number of deleted maps."""
    last = HeatMap.objects.order_by("-used_at").values_list("used_at", flat=True)[keep : keep + 1]
    edge = next(iter(last), None)
    return HeatMap.objects.filter(used_at__lte=edge).delete()[0] if edge else 0
