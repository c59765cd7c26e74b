"""The heat map of the panel Why over HTTP: one request for each question, one in work for each user."""

import hashlib
import threading
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mekiki.datasets.models import Dataset
from mekiki.learning.explaining import delete_unused_heat_maps, heat_maps, request_heat_map
from mekiki.learning.explaining.heat_maps import OpenHeatMapError
from mekiki.learning.models import HeatMap
from mekiki.review.heat_words import describe_heat_map
from mekiki.review.models import Decision
from tests.review.test_why import Browser
from tests.why_setup import WhyStation

pytestmark = pytest.mark.django_db(transaction=True)

VALUES = np.array([[1.0, 0.0], [0.0, -0.5]])


def store(row: HeatMap, values: Any = VALUES, energy: Any = None) -> None:
    heat_maps.record_heat_map(
        row=row,
        values=values,
        method="gradient",
        view=(0, 0, 1, 1),
        lead=2.0,
        blurred_lead=0.0,
        energy=energy,
    )


def drawn(messages: Any) -> list[Any]:
    return [args for task, args in messages if task == "draw_heat_map"]


def test_one_map_for_one_question_and_the_answer_records_it(sent: Any) -> None:
    station = WhyStation(overlap=2)
    one, two = Browser(station), Browser(station)
    item, other = one.next(), two.next()
    panel, same = (who.open(x["image"]["sha256"], x["lease"]) for who, x in ((one, item), (two, other)))
    address = panel["heat_map_url"].rpartition("/why/")[2]
    first = one.send("post", f"why/{address}")
    assert (first["state"], first["progress"], first["values"]) == ("computing", 0.0, [])
    assert one.send("post", f"why/{address}")["state"] == "computing"
    assert two.send("post", f"why/{same['id']}/heat-map")["state"] == "computing"
    row = HeatMap.objects.get()
    assert drawn(sent) == [[row.pk]] and row.created_by == one.user
    heat_maps.record_heat_map_progress(row=row, done=3, total=12)
    assert one.send("post", f"why/{address}")["progress"] == 0.25
    energy = np.zeros((3, 4))
    energy[0, 3] = 1.5
    store(row, energy=energy)
    ready = one.send("post", f"why/{address}")
    assert ready["state"] == "ready" and ready["values"] == VALUES.tolist() and ready["view"] == [0, 0, 1, 1]
    assert ready["energy"] == [] and ready["energy_words"] == "", "the dataset does not use the local detail"
    Dataset.objects.update(use_detail=True)
    ready = one.send("post", f"why/{address}")
    assert ready["energy"] == energy.tolist()
    assert "Most fine structure is in the upper right (100 %)" in ready["energy_words"]
    assert "upper left" in ready["words"] and "lower right" in ready["words"]
    one.answer(item, why=panel["id"])
    two.answer(other, why=same["id"])  # the second reviewer was never sent the finished map
    row.refresh_from_db()
    recorded = [
        d.shown["why"]["heat_map"] for d in Decision.objects.filter(item__isnull=False).order_by("pk")
    ]
    sent_energy = hashlib.sha256(bytes(row.energy)).hexdigest()
    assert recorded == [{"method": "gradient", "digest": row.digest, "energy": sent_energy}, None]


def test_a_user_has_one_map_in_work(sent: Any) -> None:
    station = WhyStation(items=3)
    one, two = Browser(station), Browser(station)
    panels = [one.open(item.image) for item in station.items]
    assert one.send("post", f"why/{panels[0]['id']}/heat-map")["state"] == "computing"
    refused = one.send("post", f"why/{panels[1]['id']}/heat-map", status=409)
    assert refused["code"] == "heat_map_running"
    other = two.open(station.items[2].image)
    assert two.send("post", f"why/{other['id']}/heat-map")["state"] == "computing"
    store(HeatMap.objects.get(image=station.items[0].image))
    assert one.send("post", f"why/{panels[1]['id']}/heat-map")["state"] == "computing"
    # The worker is gone. After a while the request is given up, and the next one is taken.
    HeatMap.objects.filter(image=station.items[1].image).update(asked_at="2020-01-01T00:00Z")
    third = one.send("post", f"why/{panels[0]['id']}/heat-map")
    assert third["state"] == "ready"
    station.items[2].image.refresh_from_db()
    assert one.send("post", f"why/{panels[2]['id']}/heat-map")["state"] == "computing"  # of the other user
    fourth = one.open(station.image_with_prediction())
    assert one.send("post", f"why/{fourth['id']}/heat-map")["state"] == "computing"
    assert not HeatMap.objects.filter(image=station.items[1].image).exists()


def test_requests_at_the_same_time_make_one_map(sent: Any) -> None:
    station = WhyStation(items=2)
    user, results = station.reviewer(), []
    barrier = threading.Barrier(4)

    def ask(number: int) -> None:
        try:
            barrier.wait(30)
            image = station.items[number % 2].image
            row = request_heat_map(
                image=image, head=station.head, label=station.labels[0], runner_up=None, user=user
            )
            results.append(row.image_id)
        except OpenHeatMapError:
            results.append(None)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    row = HeatMap.objects.get()
    assert len(results) == 4 and set(results) <= {row.image_id, None} and row.image_id in results
    assert drawn(sent) == [[row.pk]]


def test_new_map_is_never_without_the_time_of_its_request(sent: Any) -> None:
    """Without that time it counts as abandoned, and a request about another image would delete it."""
    station = WhyStation()
    with CaptureQueriesContext(connection) as queries:
        request_heat_map(
            image=station.items[0].image,
            head=station.head,
            label=station.labels[0],
            runner_up=None,
            user=station.reviewer(),
        )
    row = HeatMap.objects.get()
    assert row.asked_at is not None and drawn(sent) == [[row.pk]]
    updates = [entry["sql"] for entry in queries.captured_queries if entry["sql"].startswith("UPDATE")]
    assert not any('"asked_at"' in sql for sql in updates)


def test_failed_map_is_asked_for_again_after_a_while(sent: Any) -> None:
    station = WhyStation()
    browser = Browser(station)
    panel = browser.open(station.items[0].image)
    address = f"why/{panel['id']}/heat-map"
    browser.send("post", address)
    row = HeatMap.objects.get()
    heat_maps.record_heat_map_problem(row=row, problem=heat_maps.Problem.FAILED, reason="x")
    failed = browser.send("post", address)
    assert failed["state"] == "failed" and "x" in failed["problem"]
    assert len(drawn(sent)) == 1
    HeatMap.objects.update(answered_at="2020-01-01T00:00Z")
    assert browser.send("post", address)["state"] == "computing"
    assert len(drawn(sent)) == 2


def test_broker_that_does_not_answer_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mekiki.jobs.broker.send", lambda *_args, **_more: False)
    station = WhyStation(prompts_known=False)
    browser = Browser(station)
    panel = browser.open(station.items[0].image)
    assert panel["scores_state"] == "problem" and "worker" in panel["scores_problem"]
    failed = browser.send("post", f"why/{panel['id']}/heat-map")
    assert failed["state"] == "failed" and "worker" in failed["problem"]


def test_maps_go_with_their_image_and_the_least_used_ones_go_first(sent: Any) -> None:
    station = WhyStation(items=3)
    for number, item in enumerate(station.items):
        row = request_heat_map(
            image=item.image,
            head=station.head,
            label=station.labels[0],
            runner_up=None,
            user=station.reviewer(),
        )
        store(row)
        HeatMap.objects.filter(pk=row.pk).update(used_at=f"2026-01-0{number + 1}T00:00Z")
    assert delete_unused_heat_maps(keep=3) == 0
    assert delete_unused_heat_maps(keep=2) == 1
    left = {row.image_id for row in HeatMap.objects.all()}
    assert left == {item.image_id for item in station.items[1:]}


@pytest.mark.parametrize(
    "values", [np.zeros((0, 3)), np.zeros((65, 2)), np.zeros(4), np.full((2, 2), np.nan)]
)
def test_maps_of_other_shapes_are_not_stored(values: Any, sent: Any) -> None:
    station = WhyStation()
    row = request_heat_map(
        image=station.items[0].image,
        head=station.head,
        label=station.labels[0],
        runner_up=None,
        user=station.reviewer(),
    )
    with pytest.raises(ValueError, match="map"):
        store(row, values)


@given(
    arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(-9, 9, width=32)),
    st.tuples(*[st.floats(-2, 3)] * 4),
)
def test_every_map_has_words(values: Any, view: Any) -> None:
    assert "“a”" in describe_heat_map(values, view, "a", change=1.0)


def test_map_without_effect_says_so() -> None:
    nothing = describe_heat_map(np.full((3, 3), 0.001), (0, 0, 1, 1), "a", change=5.0)
    assert nothing.startswith("No single part")
    assert describe_heat_map(-np.ones((3, 3)), (0, 0, 1, 1), "a", change=5.0).startswith("No single part")
