"""A job that kills workers: the suspected images are isolated, then the cause is set aside."""

import threading

import pytest
from django.db import connection, transaction

from mekiki.jobs.in_hand import ItemsInHand
from mekiki.jobs.models import InHand
from tests.waiting import is_blocked_by, until

pytestmark = pytest.mark.django_db


def test_rows_of_ended_work_are_deleted() -> None:
    hand = ItemsInHand("import 1")
    hand.begin(["a", "b"])
    assert InHand.objects.get().items == ["a", "b"]
    hand.done(["a", "b"])
    assert not InHand.objects.exists()
    hand.begin(["c"])
    hand.release_all()  # cancelled: no worker died
    assert not InHand.objects.exists() and not ItemsInHand("import 1").suspects
    hand.begin(["d"])
    hand.close()
    assert not InHand.objects.exists()


def test_an_item_is_set_aside_when_workers_died_twice_with_it_alone() -> None:
    ItemsInHand("import 1").begin(["a", "b", "c"])  # and the worker died
    for death in (1, 2):
        hand = ItemsInHand("import 1")
        assert hand.suspects == {"a", "b", "c"} - ({"a"} if death > 1 else set()) and not hand.set_aside
        if death == 1:
            hand.begin_alone("a")
            hand.done(["a"])
        hand.begin_alone("b")  # and the worker died
    hand = ItemsInHand("import 1")
    assert (hand.suspects, hand.set_aside, hand.just_set_aside) == ({"c"}, {"b"}, {"b"})
    hand.begin_alone("c")
    hand.done(["c"])
    later = ItemsInHand("import 1")
    assert (later.suspects, later.set_aside, later.just_set_aside) == (set(), {"b"}, set())
    later.close()
    assert not InHand.objects.exists()


def test_item_is_not_set_aside_after_one_death_with_it_alone() -> None:
    ItemsInHand("import 1").begin(["a", "b"])
    ItemsInHand("import 1").begin_alone("a")  # killed at this moment for another reason
    hand = ItemsInHand("import 1")
    hand.begin_alone("a")
    hand.done(["a"])
    hand.begin_alone("b")
    assert not ItemsInHand("import 1").set_aside


def test_other_files_in_hand_beside_suspects_become_suspects_too() -> None:
    ItemsInHand("import 1").begin(["a"])
    ItemsInHand("import 1").begin(["x", "y"])
    assert ItemsInHand("import 1").suspects == {"a", "x", "y"} and not ItemsInHand("import 2").suspects


@pytest.mark.django_db(transaction=True)
def test_concurrent_writes_of_two_workers_do_not_fail() -> None:
    first, second = ItemsInHand("import 1"), ItemsInHand("import 1")
    errors: list[BaseException] = []

    def begin_second() -> None:
        try:
            second.begin(["b"])
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    other = threading.Thread(target=begin_second)
    with transaction.atomic():
        first.begin(["a"])
        other.start()
        until(lambda: is_blocked_by(connection.connection.info.backend_pid))
    other.join(20)
    assert not errors and InHand.objects.get().items == ["b"]
