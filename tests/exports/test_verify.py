"""Verification: a change in a label set is detected, and a hostile file does no harm."""

import csv
import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mekiki.audit.private_key import settle_key
from mekiki.config import csv_files
from tests.exports.helpers import freeze_judged, make_judged, path_of
from tests.offline import run_from_source, run_verifier
from tests.shared_rows import rows_of_module
from verification import signing
from verification.label_set import archive as zips
from verification.label_set import format as form
from verification.label_set.problems import VerifyReport
from verification.label_set.verify import verify

PER_CHANGE = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def codes(report: VerifyReport) -> set[str]:
    for problem in report.problems:
        assert str(problem).strip()
    return {problem.code for problem in report.problems}


def contents_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(contents: dict[str, bytes], path: Path) -> Path:
    """Return an archive in the layout of a label set, with any contents."""
    with path.open("w+b") as file:
        writer = zips.Writer(file)
        for name, content in contents.items():
            with writer.entry(name, packed=name in (form.ROWS, form.TABLE, form.SEALS)) as sink:
                sink.write(content)
        writer.finish()
    return path


def reseal(contents: dict[str, bytes], key: Ed25519PrivateKey | None = None) -> dict[str, bytes]:
    """Create hashes, counts and signature again with another key, as a forger can."""
    key = key or Ed25519PrivateKey.generate()
    manifest = json.loads(contents[form.MANIFEST])
    import hashlib

    manifest["files"] = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
        if name not in form.SEALING
    }
    changed = {**contents, form.MANIFEST: form.canonical(manifest)}
    changed[form.SIGNATURE] = key.sign(changed[form.MANIFEST])
    changed[form.PUBLIC_KEY] = signing.public_pem(key)
    return changed


@pytest.fixture(scope="module")
def valid_file(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the file of a label set. Its platform is gone, as for everyone who verifies."""
    with rows_of_module(django_db_blocker):
        settle_key()
        file = path_of(freeze_judged(make_judged()))
        return Path(shutil.copy(file, tmp_path_factory.mktemp("label-set")))


def test_a_label_set_as_written_verifies(valid_file: Path) -> None:
    report = verify(valid_file)
    assert report.ok, [str(p) for p in report.problems]
    assert report.summary["counts"] == {"labels": 10, "human": 8, "machine": 2, "images": 10}
    assert report.summary["version"] == 1 and report.summary["frozen_by"] == "admin"


def test_verifying_keeps_the_csv_limit_of_the_process(valid_file: Path) -> None:
    """The import of metadata tables uses the same limit, in the same process."""
    before = csv.field_size_limit()
    assert verify(valid_file).ok
    assert csv.field_size_limit() == before


def test_packing_the_same_contents_gives_the_same_bytes(valid_file: Path, tmp_path: Path) -> None:
    assert pack(contents_of(valid_file), tmp_path / "again.zip").read_bytes() == valid_file.read_bytes()


@given(data=st.data())
@PER_CHANGE
def test_any_changed_byte_is_detected(
    valid_file: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw = bytearray(valid_file.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    changed = tmp_path_factory.mktemp("changed") / "set.zip"
    changed.write_bytes(raw)
    report = verify(changed)
    if report.ok:
        # Only unused bits of a compressed stream may change. It then unpacks to the same contents.
        with zipfile.ZipFile(valid_file) as archive:
            packed = [i for i in archive.infolist() if i.compress_type == zipfile.ZIP_DEFLATED]
        assert any(i.header_offset <= at < i.header_offset + 100 + i.compress_size for i in packed)
        assert contents_of(changed) == contents_of(valid_file)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_truncated_and_extended_files_are_refused(
    valid_file: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw = valid_file.read_bytes()
    changed = tmp_path_factory.mktemp("changed") / "set.zip"
    cut = data.draw(st.integers(0, len(raw) - 1))
    more = data.draw(st.binary(min_size=1, max_size=40))
    for content in (raw[:cut], raw + more, more + raw, raw[:cut] + more + raw[cut:]):
        changed.write_bytes(content)
        assert not verify(changed).ok


@pytest.mark.parametrize("name", [*form.LISTED, *form.SEALING, "an image"])
def test_removed_renamed_and_emptied_files_are_detected(valid_file: Path, tmp_path: Path, name: str) -> None:
    contents = contents_of(valid_file)
    if name == "an image":
        name = next(n for n in contents if n.startswith("images/"))
    without = {k: v for k, v in contents.items() if k != name}
    report = verify(pack(without, tmp_path / "removed.zip"))
    assert "missing" in codes(report)
    assert any(name in str(p) for p in report.problems)
    assert not verify(pack({**without, "other.txt": contents[name]}, tmp_path / "renamed.zip")).ok
    assert not verify(pack({**contents, name: b""}, tmp_path / "emptied.zip")).ok


def test_added_file_is_detected(valid_file: Path, tmp_path: Path) -> None:
    added = pack({**contents_of(valid_file), "virus.exe": b"MZ"}, tmp_path / "added.zip")
    assert codes(verify(added)) == {"extra"}


def test_duplicate_file_is_detected(valid_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "twice.zip"
    contents = contents_of(valid_file)
    with path.open("w+b") as file:
        writer = zips.Writer(file)
        for name, content in [*contents.items(), (form.README, b"another text")]:
            writer.add(name, content)
        writer.finish()
    assert "duplicate" in codes(verify(path))


def _swap_rows(rows: list[bytes]) -> list[bytes]:
    return [rows[1], rows[0], *rows[2:]]


def _edit(**fields: object) -> Callable[[list[bytes]], list[bytes]]:
    def edit(rows: list[bytes]) -> list[bytes]:
        row = json.loads(rows[0])
        row.update(fields)
        return [form.row_line(row), *rows[1:]]

    return edit


FORGERIES = {
    "reordered": (_swap_rows, "order"),
    "row removed": (lambda rows: rows[1:], "count"),
    "row twice": (lambda rows: [rows[0], *rows], "order"),
    "another label": (_edit(label_id=999_999), "row"),
    "no reviewer": (_edit(source="human", reviewer=None), "row"),
    "machine made human": (_edit(source="neither"), "row"),
    "unknown head": (_edit(head={"version": 77, "digest": "0" * 64}), "row"),
    "no head": (_edit(head=None), "row"),
    "number for a text": (_edit(file_name=5), "row"),
    "list for a number": (_edit(label_id=[]), "row"),
    "field missing": (lambda rows: [rows[0].replace(b'"late"', b'"lite"'), *rows[1:]], "row"),
    "no JSON": (lambda rows: [b"\xff\xfe\n", *rows[1:]], "row"),
    "deep JSON": (lambda rows: [b"[" * 100_000 + b"\n", *rows[1:]], "row"),
    "not a number": (
        lambda rows: [rows[0].replace(b'"propensity":', b'"propensity":NaN,"x":'), *rows[1:]],
        "row",
    ),
    "image elsewhere": (_edit(image_file="images/../../etc/passwd"), "row"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_rows_with_new_hashes_are_detected(valid_file: Path, tmp_path: Path, name: str) -> None:
    """A forged row is detected even if the hashes, the table and the signature match it."""
    forge, code = FORGERIES[name]
    contents = contents_of(valid_file)
    rows = contents[form.ROWS].splitlines(keepends=True)
    # The first row with a reviewer's label comes first.
    rows.sort(key=lambda line: (json.loads(line)["source"] != "human", json.loads(line)["image_sha256"]))
    forged = forge(rows)
    contents[form.ROWS] = b"".join(forged)
    problem_codes = codes(verify(pack(reseal(contents), tmp_path / "forged.zip")))
    assert code in problem_codes


def test_table_that_differs_from_the_rows_is_detected(valid_file: Path, tmp_path: Path) -> None:
    contents = contents_of(valid_file)
    contents[form.TABLE] = contents[form.TABLE].replace(b"confirm", b"correct", 1)
    assert codes(verify(pack(reseal(contents), tmp_path / "forged.zip"))) == {"table"}


def test_counts_that_differ_from_the_rows_are_detected(valid_file: Path, tmp_path: Path) -> None:
    contents = contents_of(valid_file)
    manifest = json.loads(contents[form.MANIFEST])
    manifest["counts"]["human"] += 1
    contents[form.MANIFEST] = form.canonical(manifest)
    assert codes(verify(pack(reseal(contents), tmp_path / "forged.zip"))) == {"count"}


def test_signature_by_another_key_is_detected_with_a_pinned_key(valid_file: Path, tmp_path: Path) -> None:
    """A label set signed by another key is complete in itself. Only a pinned key reveals it."""
    forged = pack(reseal(contents_of(valid_file)), tmp_path / "forged.zip")
    genuine = contents_of(valid_file)[form.PUBLIC_KEY]
    assert verify(forged).ok and verify(forged).summary["pinned"] is False
    assert codes(verify(forged, public_key=genuine)) == {"other_key"}
    report = verify(valid_file, public_key=genuine)
    assert report.ok and report.summary["pinned"] is True
    with pytest.raises(ValueError):
        verify(valid_file, public_key=b"no key")


def test_signature_of_another_manifest_is_detected(valid_file: Path, tmp_path: Path) -> None:
    contents = contents_of(valid_file)
    manifest = json.loads(contents[form.MANIFEST])
    manifest["frozen_by"] = "somebody else"
    contents[form.MANIFEST] = form.canonical(manifest)
    assert codes(verify(pack(contents, tmp_path / "forged.zip"))) == {"signature"}


def test_files_that_are_no_label_sets_are_refused(valid_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "it.zip"
    for content in (b"", b"hello", b"PK\x05\x06" + b"\0" * 18, b"PK\x05\x06" + b"\xff" * 18, b"PK" * 5000):
        path.write_bytes(content)
        assert not verify(path).ok
    assert codes(verify(tmp_path / "nowhere.zip")) == {"unreadable"}
    assert codes(verify(tmp_path)) == {"unreadable"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../escape", "x")
    assert codes(verify(path)) == {"not_ours"}
    # Packed again by another program: the same files in an archive other than the frozen one.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents_of(valid_file).items():
            archive.writestr(name, content)
    assert codes(verify(path)) == {"not_ours"}


def test_archive_that_unpacks_to_a_huge_size_is_refused(valid_file: Path, tmp_path: Path) -> None:
    contents = contents_of(valid_file)
    contents[form.ROWS] = b" " * 300_000_000
    bomb = pack(reseal(contents), tmp_path / "bomb.zip")
    assert bomb.stat().st_size < 1_000_000
    assert "too_dense" in codes(verify(bomb))


def test_control_characters_of_file_names_are_not_printed(valid_file: Path, tmp_path: Path) -> None:
    added = pack({**contents_of(valid_file), "\x1b[2Jgone": b""}, tmp_path / "added.zip")
    sentences = [str(p) for p in verify(added).problems]
    assert sentences and not any("\x1b" in s for s in sentences)


@given(st.text())
def test_escaped_cells_are_restored_exactly(text: str) -> None:
    cell = csv_files.safe_cell(text)
    assert csv_files.cell_text(cell) == text
    assert not cell.startswith(tuple("=+-@＝＋－＠\t\r\n"))


def test_large_archives_use_zip64_that_other_programs_read() -> None:
    """More than 65,535 files, and sizes that other programs read from the zip64 fields."""
    file = io.BytesIO()
    writer = zips.Writer(file)
    for number in range(66_000):
        writer.add(f"images/{number:064x}.png", b"x")
    writer.finish()
    with zips.open_checked(file) as archive:
        assert len(archive.namelist()) == 66_000
    assert zipfile.ZipFile(file).testzip() is None


def run_command(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run `mekiki verify …` without a database and a broker."""
    import os

    env = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "BROKER_URL")}
    return subprocess.run(
        [sys.executable, "-m", "mekiki", "verify", *arguments],
        env={**env, "MEKIKI_HOME": str(home), "PYTHONPATH": "platform"},
        capture_output=True,
        text=True,
    )


def test_the_command_needs_no_platform(valid_file: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(contents_of(valid_file)[form.PUBLIC_KEY])
    process = run_command(str(valid_file), "--key", str(key), home=tmp_path / "home")
    assert process.returncode == 0, process.stderr
    assert "8 labels by people, 2 by machine" in process.stdout
    forged = pack(reseal(contents_of(valid_file)), tmp_path / "forged.zip")
    process = run_command(str(forged), "--key", str(key), home=tmp_path / "home")
    assert process.returncode == 1
    assert "a different key" in process.stderr and "Traceback" not in process.stderr


def test_verifier_loads_no_module_of_the_platform(valid_file: Path, tmp_path: Path) -> None:
    process = run_verifier("verification.label_set", valid_file, folder=tmp_path)
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["ok"] is True
    changed = pack({**contents_of(valid_file), form.ROWS: b""}, tmp_path / "changed.zip")
    process = run_from_source("mekiki.exports.verify", changed)
    assert process.returncode == 1 and "labels.jsonl" in process.stdout, process.stderr
