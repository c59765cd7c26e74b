"""A change of a certified label set is named, even if the platform's own key signed the changed files."""

import copy
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.utils.translation import override

from mekiki.exports.messages import PROBLEMS
from tests.exports.certified_setup import AcceptedPool, rows_of, with_rows
from tests.exports.helpers import path_of
from tests.exports.test_verify import contents_of, pack, reseal
from verification.label_set import format as form
from verification.label_set.verify import verify

Contents = dict[str, bytes]
Edit = Callable[[Any], None]


@pytest.fixture(scope="module")
def genuine(django_db_setup: None, django_db_blocker: Any) -> Contents:
    """Return the files of one certified label set, made through the product, for all tests of the module."""
    from django.db import transaction

    from mekiki.audit.private_key import settle_key

    with django_db_blocker.unblock(), transaction.atomic():
        settle_key()
        contents = contents_of(path_of(AcceptedPool().label_set()))
        transaction.set_rollback(True)
    return contents


def with_book(contents: Contents, edit: Edit) -> Contents:
    book = json.loads(contents[form.CERTIFICATE])
    edit(book)
    return {**contents, form.CERTIFICATE: form.canonical(book)}


def with_audit(contents: Contents, edit: Edit) -> Contents:
    lines = [json.loads(line) for line in contents[form.AUDIT].splitlines()]
    edit(lines)
    for number, line in enumerate(lines, 1):
        line["number"] = number
    changed = {**contents, form.AUDIT: b"".join(form.canonical(line) + b"\n" for line in lines)}
    return with_book(changed, lambda book: book.update(audited=len(lines)))


def with_edited_rows(contents: Contents, edit: Edit) -> Contents:
    rows = rows_of(contents)
    edit(rows)
    return with_rows(contents, rows)


def set_seed(book: Any) -> None:
    book["seed"] = "ab" * 32


def set_seed_and_event(book: Any) -> None:
    from hashlib import sha256

    set_seed(book)
    book["commitment"] = sha256(bytes.fromhex(book["seed"])).hexdigest()
    for event in book["events"]:
        for name in {"seed", "commitment"} & set(event["record"]["data"]):
            event["record"]["data"][name] = book[name]


def leave_out(lines: Any) -> None:
    del lines[3]


def leave_out_the_wrong_answer(lines: Any) -> None:
    del lines[2]


def change_answer(lines: Any) -> None:
    right, wrong = lines[0]["label_id"], lines[2]
    wrong["label_id"] = right
    wrong["decisions"][-1]["record"]["label_id"] = right


def change_label_only(lines: Any) -> None:
    lines[2]["label_id"] = lines[0]["label_id"]


def uncount(lines: Any) -> None:
    wrong = lines[2]
    wrong["label_id"] = None
    wrong["decisions"][-1]["counts"] = False


def show_the_prediction(lines: Any) -> None:
    lines[0]["decisions"][-1]["record"]["shown"]["blind"] = False


def shuffle(lines: Any) -> None:
    lines[0], lines[5] = lines[5], lines[0]


def with_pool(contents: Contents, *, digest: bool) -> Contents:
    """Exchange the last image of the region and the next candidate."""
    head, columns, *lines = contents[form.POOL].decode().splitlines()
    size = json.loads(contents[form.CERTIFICATE])["claim"]["size"]
    ranked = {line.rsplit(",", 1)[1]: at for at, line in enumerate(lines)}
    for rank, other in ((size, size + 1), (size + 1, size)):
        fields = lines[ranked[str(rank)]].split(",")
        fields[2] = contents[form.POOL].decode().splitlines()[2 + ranked[str(other)]].split(",")[2]
        lines[ranked[str(rank)]] = ",".join([*fields[:4], str(other)])
    changed = {**contents, form.POOL: "\n".join([head, columns, *lines, ""]).encode()}
    if not digest:
        return changed
    from hashlib import sha256

    def edit(book: Any) -> None:
        book["pool_digest"] = sha256(changed[form.POOL]).hexdigest()
        book["events"][1]["record"]["data"]["pool_digest"] = book["pool_digest"]

    return with_book(changed, edit)


def relabel(rows: Any) -> None:
    certified = next(row for row in rows if row["source"] == form.CERTIFIED)
    other = next(row for row in rows if row["label_id"] != certified["label_id"])
    certified["label"], certified["label_id"] = other["label"], other["label_id"]


def raise_confidence(rows: Any) -> None:
    next(row for row in rows if row["source"] == form.CERTIFIED)["confidence"] = 0.999


def name_another_certificate(rows: Any) -> None:
    next(row for row in rows if row["source"] == form.CERTIFIED)["certificate"] = 2


def without_a_label(contents: Contents) -> Contents:
    rows = rows_of(contents)
    rows.remove(next(row for row in rows if row["source"] == form.CERTIFIED))
    return with_counts(with_rows(contents, rows), machine=-1)


def hide_person(contents: Contents) -> Contents:
    """Take the image that a person labelled outside the audit off the list."""
    return with_book(contents, lambda book: book.update(others=[]))


def with_outside(contents: Contents) -> Contents:
    """Set the label of an image outside the region by machine."""
    rows = rows_of(contents)
    present = {row["image_sha256"] for row in rows}
    lines = [line.split(",") for line in contents[form.POOL].decode().splitlines()[2:]]
    outside = next(line for line in lines if line[0] not in present)
    copied = copy.deepcopy(next(row for row in rows if row["source"] == form.CERTIFIED))
    copied |= {"image_sha256": outside[0], "confidence": float(outside[2])}
    rows = sorted([*rows, copied], key=lambda row: row["image_sha256"])
    return with_counts(with_rows(contents, rows), machine=1)


def with_counts(contents: Contents, machine: int) -> Contents:
    manifest = json.loads(contents[form.MANIFEST])
    manifest["counts"]["machine"] += machine
    manifest["counts"]["labels"] += machine
    return {**contents, form.MANIFEST: form.canonical(manifest)}


def without_file(contents: Contents) -> Contents:
    return {name: content for name, content in contents.items() if name != form.CERTIFICATE}


def set_claim(name: str, difference: int, book: Any) -> None:
    book["claim"][name] += difference


def set_alpha(book: Any) -> None:
    book["protocol"]["alpha"] = 0.4


def set_promise(book: Any) -> None:
    book["promised"] -= 1


# name: (change, code of the first problem)
TAMPERINGS: dict[str, tuple[Callable[[Contents], Contents], str]] = {
    "another seed": (lambda c: with_book(c, set_seed), "certificate_event"),
    "another seed in the events too": (lambda c: with_book(c, set_seed_and_event), "certificate_order"),
    "an audited image left out": (lambda c: with_audit(c, leave_out), "certificate_left_out"),
    "the wrong answer left out": (
        lambda c: with_audit(c, leave_out_the_wrong_answer),
        "certificate_left_out",
    ),
    "an answer changed": (lambda c: with_audit(c, change_answer), "certificate_bound"),
    "the label of an audit changed": (lambda c: with_audit(c, change_label_only), "certificate_decision"),
    "an answer not counted": (lambda c: with_audit(c, uncount), "certificate_uncounted"),
    "an answer that was not blind": (lambda c: with_audit(c, show_the_prediction), "certificate_answer"),
    "an image moved into the region": (partial(with_pool, digest=False), "certificate_pool"),
    "an image moved in, with a new hash": (
        partial(with_pool, digest=True),
        "certificate_left_out",
    ),
    "the order shuffled": (lambda c: with_audit(c, shuffle), "certificate_order"),
    "a machine label changed": (lambda c: with_edited_rows(c, relabel), "certificate_label"),
    "a confidence changed": (lambda c: with_edited_rows(c, raise_confidence), "certificate_label"),
    "another certificate named": (lambda c: with_edited_rows(c, name_another_certificate), "row"),
    "a machine label left out": (without_a_label, "certificate_missing_label"),
    "a machine label outside the region": (with_outside, "certificate_outside"),
    "a bound changed": (lambda c: with_book(c, partial(set_claim, "most_wrong", -1)), "certificate_bound"),
    "a promise changed": (lambda c: with_book(c, set_promise), "certificate_bound"),
    "a larger region": (lambda c: with_book(c, partial(set_claim, "size", 6)), "certificate_event"),
    "a softer alpha": (lambda c: with_book(c, set_alpha), "certificate_event"),
    "a person's label not counted": (hide_person, "certificate_bound"),
    "the certificate removed": (without_file, "manifest"),
}


def test_the_genuine_set_passes_after_packing(genuine: Contents, tmp_path: Path) -> None:
    report = verify(pack(genuine, tmp_path / "set.zip"))
    assert report.ok, [str(p) for p in report.problems]


@pytest.mark.django_db
@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_named_first(genuine: Contents, tmp_path: Path, name: str) -> None:
    change, expected = TAMPERINGS[name]
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    forged = reseal(change(dict(genuine)), Ed25519PrivateKey.generate())
    report = verify(pack(forged, tmp_path / "forged.zip"))
    assert not report.ok
    first = report.problems[0]
    assert first.code == expected, [str(p) for p in report.problems]
    for language in ("en", "ja"):
        with override(language):
            assert PROBLEMS.render(first.code, first.detail).endswith((".", "。"))


def test_a_removed_file_is_missing(genuine: Contents, tmp_path: Path) -> None:
    report = verify(pack(without_file(dict(genuine)), tmp_path / "forged.zip"))
    assert [p.code for p in report.problems][:1] == ["missing"]


def test_a_changed_event_breaks_its_seal(genuine: Contents, tmp_path: Path) -> None:
    """The owner of the signing key cannot change what was recorded at the freeze."""
    forged = pack(reseal(with_book(dict(genuine), set_seed_and_event)), tmp_path / "forged.zip")
    assert "seal_rows" in {problem.code for problem in verify(forged).problems}
