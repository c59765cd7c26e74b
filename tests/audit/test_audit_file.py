"""The exported audit file: checked without the platform, and a hostile file does no harm."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mekiki.audit.models import Event, Seal
from mekiki.audit.private_key import rotate_key
from mekiki.audit.sealing import seal_new_rows
from mekiki.audit.services import record
from mekiki.audit.verification import check_database, export_file
from tests import factories
from tests.audit.test_seals import owner_of_the_database
from tests.offline import run_from_source, run_verifier
from verification import audit_file
from verification.audit_file import check_file
from verification.checking import Head

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("signing_key")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write an audit file of two keys, three seals and one event that is not sealed."""
    factories.DecisionFactory(note="傷")
    for n in range(6):
        record(kind="test.happened", data={"n": n, "text": "改行\n"})
    seal_new_rows()
    rotate_key()
    record(kind="test.happened", data={"n": 1.5})
    seal_new_rows()
    record(kind="test.unsealed")
    report = export_file(tmp_path / "audit.zip")
    assert (report.seals, report.rows) == (3, Event.objects.count())  # the decision, without the last event
    return tmp_path / "audit.zip"


def codes(path: Path, **options: Any) -> list[str]:
    report = check_file(path, **options)
    for finding in report.findings:
        assert finding.sentence()
    return [finding.code for finding in report.findings]


def write_changed_copy(file: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    change(contents)
    target = file.with_name("changed.zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return target


def test_audit_file_is_checked_without_the_platform(file: Path, signing_key: Any, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text(signing_key.public_pem)
    process = run_verifier("verification.audit_file", file, key, folder=tmp_path)
    assert process.returncode == 0, process.stdout + process.stderr
    assert json.loads(process.stdout)["seals"] == 3
    assert run_from_source("mekiki.audit.audit_file", file, key).stdout == process.stdout


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM audit_sealleaves WHERE seal_id = 2",
        "UPDATE audit_sealleaves SET ids = substring(ids FROM 9) WHERE seal_id = 2",
        "UPDATE audit_sealleaves SET hashes = hashes || hashes WHERE seal_id = 1",
        "DELETE FROM audit_sealleaves WHERE seal_id = 2; DELETE FROM audit_seal WHERE number = 2",
        "DELETE FROM audit_sealleaves WHERE seal_id = 1; DELETE FROM audit_seal WHERE number = 1",
    ],
    ids=["no leaves", "leaves cut", "leaves doubled", "no second seal", "no first seal"],
)
def test_damage_to_a_seal_has_the_same_findings_in_file_and_database(
    file: Path, damage: str, tmp_path: Path
) -> None:
    with owner_of_the_database() as execute:
        execute(damage)
    export_file(tmp_path / "harmed.zip")
    expected = [finding.as_json() for finding in check_database().findings]
    assert expected
    assert [finding.as_json() for finding in check_file(tmp_path / "harmed.zip").findings] == expected


def test_unusable_key_is_not_reported_as_a_fault_of_the_file(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_bytes(b"no key")
    with pytest.raises(ValueError, match="no public key in PEM form"):
        check_file(file, keys=[b"no key"])
    for key, reason in ((bad, "no public key in PEM form"), (tmp_path / "gone.pem", "No such file")):
        assert audit_file.main([str(file), str(key)]) == 2
        output = capsys.readouterr()
        assert output.out == "" and str(key) in output.err and reason in output.err
    assert audit_file.main([str(tmp_path / "gone.zip")]) == 1
    assert audit_file.main([str(file)]) == 0


def test_export_does_not_replace_a_file(file: Path) -> None:
    with pytest.raises(FileExistsError):
        export_file(file)


def test_head_kept_elsewhere_is_compared(file: Path) -> None:
    seal = Seal.objects.get(number=2)
    assert codes(file, heads=[Head(2, bytes(seal.log_root))]) == []
    assert codes(file, heads=[Head(2, bytes(32))]) == ["head"]
    assert codes(file, heads=[Head(9, bytes(32))]) == ["head"]


def _change_of_rows(
    table: str, change_rows: Callable[[list[bytes]], object]
) -> Callable[[dict[str, bytes]], None]:
    def change(contents: dict[str, bytes]) -> None:
        lines = contents[f"{table}.jsonl"].splitlines(keepends=True)
        change_rows(lines)
        contents[f"{table}.jsonl"] = b"".join(lines)

    return change


CHANGES: dict[str, tuple[Callable[[dict[str, bytes]], object], set[str]]] = {
    "changed": (
        _change_of_rows("events", lambda x: x.__setitem__(2, x[2].replace(b"happened", b"happenex"))),
        {"row_changed"},
    ),
    "removed": (_change_of_rows("events", lambda x: x.pop(2)), {"row_removed"}),
    "doubled": (_change_of_rows("events", lambda x: x.insert(2, x[2])), {"row_order", "row_inserted"}),
    "re-ordered": (_change_of_rows("events", lambda x: x.insert(1, x.pop(3))), {"row_order"}),
    "added at the end": (
        _change_of_rows("events", lambda x: x.append(x[0].replace(b'"id":', b'"id":9999'))),
        {"row_extra"},
    ),
    "written with spaces": (
        _change_of_rows("events", lambda x: x.__setitem__(0, x[0].replace(b":", b": ", 1))),
        {"row_changed"},
    ),
    "a seal removed": (
        lambda c: c.update({"seals.jsonl": b"".join(c["seals.jsonl"].splitlines(keepends=True)[1:])}),
        {"seal_missing", "leaves", "not_ours"},
    ),
    "no keys": (
        lambda c: c.update({"keys.json": b'{"format":"mekiki-audit","keys":[],"version":1}'}),
        {"key_unknown"},
    ),
    "another file": (lambda c: c.update({"more.txt": b""}), {"not_ours"}),
    "a part missing": (lambda c: c.pop("leaves.bin"), {"not_ours"}),
    "leaves cut": (lambda c: c.update({"leaves.bin": c["leaves.bin"][:-1]}), {"leaves"}),
    "no json": (lambda c: c.update({"seals.jsonl": b"[]\n"}), {"not_ours"}),
    "deep json": (lambda c: c.update({"seals.jsonl": b"[" * 200_000 + b"\n"}), {"not_ours"}),
    "no end of line": (lambda c: c.update({"events.jsonl": c["events.jsonl"][:-1]}), {"not_ours"}),
    "a row that is no row": (lambda c: c.update({"events.jsonl": b"7\n"}), {"not_ours"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_of_the_file_is_named(file: Path, name: str) -> None:
    change, expected = CHANGES[name]
    finding_codes = set(codes(write_changed_copy(file, change)))
    assert finding_codes and finding_codes <= expected, finding_codes


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_changed_byte_is_detected_or_has_no_effect(file: Path, data: st.DataObject) -> None:
    raw = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    target = file.with_name("byte.zip")
    target.write_bytes(raw)
    if not codes(target):
        with zipfile.ZipFile(file) as before, zipfile.ZipFile(target) as after:
            for name in set(before.namelist()) - {audit_file.README}:
                assert after.read(name) == before.read(name)


def test_unreadable_files_are_reported(tmp_path: Path) -> None:
    assert codes(tmp_path / "missing.zip") == ["unreadable"]
    assert codes(tmp_path) == ["unreadable"]
    (tmp_path / "text").write_text("no zip")
    assert codes(tmp_path / "text") == ["not_ours"]
