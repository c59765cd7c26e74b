"""The keys of labels: archiving or adding another label changes none."""

import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from mekiki.labeling import services
from mekiki.labeling.keys import assign_positions
from mekiki.labeling.selectors import active_labels
from tests.factories import DatasetFactory, UserFactory


def spec(name: str, **more: Any) -> Any:
    return {"name": name, "prompts": [f"a photo of {name}"], **more}


def keys(dataset: Any) -> dict[str, int]:
    return {label.name: label.position for label in active_labels(dataset)}


@pytest.fixture
def admin(db: None) -> Any:
    return UserFactory()


@pytest.fixture
def dataset(admin: Any) -> Any:
    dataset = DatasetFactory(admin=admin, slug="parts")
    services.set_schema(dataset=dataset, labels=[spec(name) for name in "abcde"], user=admin)
    return dataset


def test_archiving_a_label_leaves_the_other_keys(dataset: Any, admin: Any) -> None:
    services.archive_label(label=dataset.labels.get(name="b"), user=admin)
    assert keys(dataset) == {"a": 1, "c": 3, "d": 4, "e": 5}
    services.set_schema(dataset=dataset, labels=[spec(name) for name in "acde"], user=admin)
    assert keys(dataset) == {"a": 1, "c": 3, "d": 4, "e": 5}
    services.set_schema(dataset=dataset, labels=[spec(name) for name in "ace"], user=admin)
    assert keys(dataset) == {"a": 1, "c": 3, "e": 5}


def test_new_label_comes_last_with_an_unused_key(dataset: Any, admin: Any) -> None:
    services.archive_label(label=dataset.labels.get(name="e"), user=admin)
    assert services.add_label(dataset=dataset, name="f", user=admin).position == 6
    services.set_schema(dataset=dataset, labels=[spec("new"), *map(spec, "abcdf")], user=admin)
    assert keys(dataset) == {"a": 1, "b": 2, "c": 3, "d": 4, "f": 6, "new": 7}


def test_an_explicit_order_changes_keys(dataset: Any, admin: Any) -> None:
    services.archive_label(label=dataset.labels.get(name="b"), user=admin)
    services.set_schema(dataset=dataset, labels=[spec(name) for name in "eacd"], user=admin)
    assert keys(dataset) == {"e": 1, "a": 3, "c": 4, "d": 5}
    services.set_schema(dataset=dataset, labels=[spec("a", position=2), *map(spec, "ecd")], user=admin)
    assert keys(dataset)["a"] == 2


def test_one_key_for_two_labels_is_refused(dataset: Any, admin: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        services.set_schema(
            dataset=dataset, labels=[spec("a", position=2), spec("b", position=2)], user=admin
        )
    assert refused.value.code == "duplicate_key" and "key 2" in refused.value.messages[0]
    assert keys(dataset) == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}


def test_removing_a_row_of_the_page_keeps_the_keys_of_the_station(dataset: Any, admin: Any) -> None:
    client = Client()
    client.force_login(admin)
    rows = [
        {"id": label.pk, "position": label.position, "name": label.name, "prompts": "x"}
        for label in active_labels(dataset)
    ]
    rows[1]["remove"] = "on"
    form_data = {"labels-TOTAL_FORMS": len(rows), "labels-INITIAL_FORMS": len(rows), "confirm": "on"} | {
        f"labels-{n}-{name}": value for n, row in enumerate(rows) for name, value in row.items()
    }
    assert client.post(reverse("labels", args=["parts"]), form_data).status_code == 302
    assert keys(dataset) == {"a": 1, "c": 3, "d": 4, "e": 5}
    page = client.get(reverse("review", args=["parts"]))
    keys_by_name = {label["name"]: label["key"] for label in json.loads(page.context["labels_json"])}
    assert keys_by_name == {"a": 1, "c": 3, "d": 4, "e": 5}
    labels_page = client.get(reverse("labels", args=["parts"])).content.decode()
    assert 'data-last-key="5"' in labels_page and 'name="labels-4-position" value="6"' in labels_page


def test_label_without_a_key_is_shown_without_one(dataset: Any, admin: Any) -> None:
    for number in range(6):
        services.add_label(dataset=dataset, name=f"more {number}", user=admin)
    client = Client()
    client.force_login(admin)
    page = client.get(reverse("review", args=["parts"]))
    assert [label["key"] for label in json.loads(page.context["labels_json"])] == [*range(1, 10), None, None]


positions = st.one_of(st.none(), st.integers(1, 30))


@given(st.lists(st.tuples(st.none(), positions), max_size=20), st.integers(0, 40))
def test_positions_are_distinct_and_kept(wanted: list[tuple[None, int | None]], last: int) -> None:
    last = max([last, *(own or 0 for _position, own in wanted)])
    assigned = assign_positions(wanted, last)
    assert len(set(assigned)) == len(assigned) == len(wanted)
    own = [before for _position, before in wanted if before]
    if own == sorted(set(own)):
        assert all(place == before for place, (_p, before) in zip(assigned, wanted, strict=True) if before)
    assert all(place > last for place, (_p, before) in zip(assigned, wanted, strict=True) if not before)
