"""A label set proves without the platform that each of its decisions was sealed."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mekiki.audit.models import Seal
from mekiki.audit.private_key import load_key, rotate_key, settle_key
from mekiki.audit.sealing import seal_new_rows
from mekiki.exports.models import LabelSet
from mekiki.exports.services import freeze
from mekiki.exports.writing import write_label_set
from mekiki.review.models import Decision
from tests import factories
from tests.exports.helpers import Judged, ignore_progress, make_judged, path_of
from tests.exports.test_verify import codes, contents_of, pack, reseal
from tests.shared_rows import rows_of_module
from verification.label_set import format as form
from verification.label_set.verify import verify

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def sealed_rows(django_db_setup: None, django_db_blocker: Any) -> Iterator[LabelSet]:
    with rows_of_module(django_db_blocker):
        settle_key()
        yield freeze_sealed(make_judged())


@pytest.fixture
def sealed_label_set(sealed_rows: LabelSet, db: None) -> LabelSet:
    """Return the label set of freeze_sealed, as it was before the test."""
    return LabelSet.objects.get(pk=sealed_rows.pk)


def freeze_sealed(judged: Judged) -> LabelSet:
    """Freeze a label set whose decisions lie under several seals, by two keys, among other decisions."""
    seal_new_rows()
    for number in range(3):
        for _other in range(3):
            factories.DecisionFactory()
        image = judged.images[9 + number]
        item = factories.QueueItemFactory(dataset=judged.dataset, image=image, head=judged.head, state="done")
        shown = {"stream": "uncertain", "propensity": 0.5, "blind": True}
        common = {"dataset": judged.dataset, "image": image, "label": judged.labels[0]}
        decision = factories.DecisionFactory(
            **common, user=judged.reviewer, item=item, shown=shown, kind="correct", note="傷"
        )
        factories.ConfirmedLabelFactory(**common, decision=decision, stream="uncertain", in_training=True)
        seal_new_rows()
        if number == 1:
            rotate_key()
    return write_label_set(
        label_set=freeze(dataset=judged.dataset, user=judged.admin), progress=ignore_progress
    )


def rows_in(contents: dict[str, bytes]) -> Rows:
    return [json.loads(line) for line in contents[form.ROWS].splitlines()]


def with_rows(contents: dict[str, bytes], rows: Rows) -> dict[str, bytes]:
    """Write the rows and the table again, signed with the platform's key."""
    table = io.StringIO()
    csv.writer(table).writerows([form.COLUMNS, *(form.row_cells(row) for row in rows)])
    changed = {
        **contents,
        form.ROWS: b"".join(form.row_line(row) for row in rows),
        form.TABLE: b"\xef\xbb\xbf" + table.getvalue().encode(),
    }
    return reseal(changed, load_key()[1])


def test_every_decision_is_proven_under_the_newest_seal(sealed_label_set: LabelSet) -> None:
    contents = contents_of(path_of(sealed_label_set))
    report = verify(path_of(sealed_label_set), public_key=contents[form.PUBLIC_KEY])
    assert report.ok, [str(p) for p in report.problems]
    newest = Seal.objects.filter(table="decisions").order_by("-number")[0]
    assert report.summary["head"] == f"{newest.number}:{bytes(newest.log_root).hex()}"
    assert len(json.loads(contents[form.KEYS])["keys"]) == 2
    lines = [json.loads(line) for line in contents[form.SEALS].splitlines()]
    assert len(lines) == 4 and any(line["gaps"] for line in lines) and any(line["before"] for line in lines)
    for row in rows_in(contents):
        assert row["sealed"]["client_key"] == str(Decision.objects.get(pk=row["decision_id"]).client_key)
    assert "sealed" not in contents[form.TABLE].decode("utf-8-sig").splitlines()[0]


def _change_time(row: dict[str, Any]) -> None:
    row["decided_at"] = "2030" + row["decided_at"][4:]


def _change_image(row: dict[str, Any]) -> None:
    row["image_sha256"] = row["image_sha256"][:-1] + ("0" if row["image_sha256"][-1] != "0" else "1")


def _change_user(row: dict[str, Any]) -> None:
    row["sealed"]["user_id"] += 1


def _change_note(row: dict[str, Any]) -> None:
    row["sealed"]["note_sha256"] = "0" * 64


def _change_late(row: dict[str, Any]) -> None:
    row["late"] = not row["late"]


@pytest.mark.parametrize("change", [_change_time, _change_image, _change_user, _change_note, _change_late])
def test_the_owner_of_the_key_cannot_change_a_decision(
    sealed_label_set: LabelSet, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    contents = contents_of(path_of(sealed_label_set))
    rows = rows_in(contents)
    change(rows[4])
    forged = pack(with_rows(contents, rows), tmp_path / "forged.zip")
    report = verify(forged, public_key=load_key()[0].public_pem.encode())
    assert codes(report) == {"seal_rows"}


def test_shown_prediction_must_equal_the_sealed_one(sealed_label_set: LabelSet, tmp_path: Path) -> None:
    contents = contents_of(path_of(sealed_label_set))
    rows = rows_in(contents)
    row_with_prediction = next(row for row in rows if row["shown"])
    row_with_prediction["shown"]["confidence"] = 0.99
    assert codes(verify(pack(with_rows(contents, rows), tmp_path / "forged.zip"))) == {"row", "seal_rows"}


@pytest.mark.parametrize(
    "place", [{"index": 10**6}, {"seal": 999}, {"index": -1}, {"index": "0"}, {"seal": None}]
)
def test_row_with_an_invalid_place_in_the_seals_is_named(
    sealed_label_set: LabelSet, tmp_path: Path, place: dict[str, Any]
) -> None:
    contents = contents_of(path_of(sealed_label_set))
    rows = rows_in(contents)
    rows[0]["sealed"].update(place)
    problem_codes = codes(verify(pack(with_rows(contents, rows), tmp_path / "forged.zip")))
    assert problem_codes == {"unsealed", "seal_rows"}


@pytest.mark.parametrize("damage", ["no line", "no gaps", "other root", "no json", "twice", "no key"])
def test_inconsistent_seals_are_named(sealed_label_set: LabelSet, tmp_path: Path, damage: str) -> None:
    contents = contents_of(path_of(sealed_label_set))
    lines = contents[form.SEALS].splitlines(keepends=True)
    first = json.loads(lines[1])
    if damage == "no line":
        del lines[1]
    elif damage == "no json":
        lines[1] = b"[1]\n"
    elif damage == "twice":
        lines.insert(1, lines[1])
    elif damage == "no key":
        contents[form.KEYS] = form.canonical({"keys": []})
    else:
        if damage == "no gaps":
            first["gaps"] = ""
        else:
            first["seal"]["root"] = "0" * 64
        lines[1] = form.canonical(first) + b"\n"
    contents[form.SEALS] = b"".join(lines)
    problem_codes = codes(verify(pack(reseal(contents, load_key()[1]), tmp_path / "forged.zip")))
    assert problem_codes and problem_codes <= {"unsealed", "seals", "seal_rows", "seal_log", "seal_signature"}


def test_label_sets_of_format_1_are_still_verified(sealed_label_set: LabelSet, tmp_path: Path) -> None:
    contents = contents_of(path_of(sealed_label_set))
    rows = rows_in(contents)
    for row in rows:
        del row["sealed"]
    for name in form.SINCE_2:
        del contents[name]
    manifest = json.loads(contents[form.MANIFEST])
    manifest["format_version"] = 1
    contents[form.MANIFEST] = form.canonical(manifest)
    old = pack(with_rows(contents, rows), tmp_path / "old.zip")
    report = verify(old)
    assert report.ok, [str(p) for p in report.problems]
