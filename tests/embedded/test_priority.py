"""The worker of long jobs has less priority than the processes for which somebody waits."""

import socket
import sys
from pathlib import Path

import pytest

from mekiki.embedded.process import Process
from mekiki.embedded.supervisor import children
from tests.waiting import until


@pytest.mark.parametrize(("given", "expected"), [(None, 10), ("0", 0), ("19", 19)])
def test_only_the_worker_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, expected: int
) -> None:
    monkeypatch.delenv("MEKIKI_WORKER_NICE")
    if given is not None:
        monkeypatch.setenv("MEKIKI_WORKER_NICE", given)
    with socket.socket() as listener:
        web = children.web(tmp_path, {}, listener)
    others = [web, *(make(tmp_path, {}) for make in (children.search, children.beat, children.sweeper))]
    assert children.worker(tmp_path, {}).nice == expected and [one.nice for one in others] == [0] * 4


def test_process_and_its_children_have_the_priority(tmp_path: Path) -> None:
    script = (
        "import os, subprocess, sys; subprocess.run([sys.executable, '-c', 'import os; print(os.nice(0))'])"
    )
    files = {"log": tmp_path / "log", "pid_file": tmp_path / "pid"}
    printed = []
    for nice in (0, 7):
        process = Process("priority", [sys.executable, "-c", script], nice=nice, **files)
        process.start()
        until(lambda process=process: not process.alive())
        printed.append(int((tmp_path / "log").read_text().split()[-1]))
    assert printed[1] == min(19, printed[0] + 7)
