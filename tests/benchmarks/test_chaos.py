"""How `make chaos` counts: automatic recovery from each fault, and answers without an acknowledgement."""

from types import SimpleNamespace
from typing import Any, cast

from benchmarks.faults.injection import Fault
from benchmarks.faults.witness import answer_figures, recovery_figures


def client(*times: tuple[float, float], **more: Any) -> Any:
    return cast(Any, SimpleNamespace(times=list(times), **more))


def test_recovery_time_is_computed_for_each_kind_of_fault() -> None:
    faults = [
        Fault("kill", "web", 0, 1),
        Fault("kill", "web", 10, 11),
        Fault("full disk", "9 MB", 20, 25),
        Fault("clock", "+3600 s", 26, 26),
        Fault("clock", "+0 s", 50, 50),
    ]
    # An answer that was sent during a fault does not show when the fault ended.
    clients = [client((0.5, 3.0), (2.0, 2.5)), client((12.0, 14.0), (21.0, 22.0), (27.0, 29.0))]
    assert recovery_figures(faults, clients) == {
        "answers_again_after_kill_web_s": "n 2, median 2.2, largest 3.0",
        "answers_again_after_clock_s": "n 1, median 3.0, largest 3.0",
        # The clock was shifted before the first answer after the disk had space again.
        "answers_again_with_the_next_fault_between_s": "n 1, median 4.0, largest 4.0",
        "faults_without_an_answer_after": 1,
        "answers_while_disk_full": 1,
        "answers_while_folder_read_only": 0,
    }


def test_answer_counts_as_stored_only_if_it_equals_the_acknowledgement() -> None:
    def create_answer(key: str, item: int) -> Any:
        return SimpleNamespace(key=key, item=item, label=1, reply={"decision": 5})

    rows = [("a", 5, 7, 1), ("b", 5, 7, 2), ("x", 6, 7, 1)]
    site = cast(Any, SimpleNamespace(query=lambda *_: rows))
    answers = [create_answer("a", 7), create_answer("b", 7), create_answer("c", 7)]
    reviewer = client(answers=answers, sent={"a", "b", "c", "d"}, sent_again=2, broken=None, logins=1)
    figures = answer_figures(site, [reviewer], "reviewed")
    assert (figures["answers_sent"], figures["answers_acknowledged"], figures["answers_stored"]) == (4, 3, 3)
    assert figures["answers_stored_as_acknowledged"] == 1
    assert figures["answers_acknowledged_but_not_stored"] == 2
    assert figures["answers_stored_but_never_sent"] == 1
