"""Format and check of a proof: single rows, or older heads, under one head.

The check needs neither the platform nor the other rows. The file is one JSON object. Its inclusion and
consistency proofs are those of RFC 9162, sections 2.1.3 and 2.1.4. docs/reference/seals.md describes the
fields.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from verification import merkle, signing
from verification.checking import Head
from verification.findings import CheckReport
from verification.key_list import read_keys, trusted_keys
from verification.statements import SealFacts

FORMAT = "mekiki-audit-proof"
VERSION = 1
MAX_BYTES = 1 << 26


class NotAProofError(Exception):
    """An error for a file that `mekiki audit prove` did not write. The text gives the reason."""


def check_proof(content: bytes, *, keys: Sequence[bytes] = (), heads: Sequence[Head] = ()) -> CheckReport:
    """Check a proof. The report counts the proven rows in `rows` and names the head in `head`.

    `keys` are PEM keys from outside. One of them, or a key that they signed for in turn, must have signed the
    head. `heads` are older heads, and the proof must show that they are beginnings of its own head. Raises
    NotAProofError if the content is no proof.
    """
    report = CheckReport(of_proof=True)
    try:
        proof = json.loads(content)
        if proof["format"] != FORMAT or proof["version"] != VERSION:
            raise NotAProofError("it is of another format or version")
        head = SealFacts.from_json(proof["head"])
        known = read_keys(proof["keys"])
        _check_signature(report, head, {key.fingerprint: key.pem for key in known})
        if keys and head.key not in trusted_keys(known, keys):
            report.add("key_other", seal=0, fingerprint=signing.grouped(head.key))
        report.pinned = bool(keys)
        report.head, report.seals = head.as_json(), head.number
        for row in proof["rows"]:
            _check_row(report, row, head)
        _check_heads(report, proof["heads"], head, heads)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise NotAProofError(f"{type(error).__name__}: {error}") from None
    return report


def _check_signature(report: CheckReport, head: SealFacts, known: Mapping[str, bytes]) -> None:
    if head.key not in known:
        report.add("key_unknown", seal=head.number)
    elif not signing.is_signed_by(known[head.key], head.signature, head.statement()):
        report.add("seal_changed", seal=head.number)


def _check_row(report: CheckReport, value: Mapping[str, Any], head: SealFacts) -> None:
    """Check that a row is under its seal, and that the seal is under the head."""
    seal = SealFacts.from_json({"log_root": "", "signature": "", **value["seal"]})
    content = value["row"].encode()
    table, pk = seal.table, json.loads(content)["id"]
    leaf, index = merkle.leaf_hash(content), value["index"]
    if type(pk) is not int or type(index) is not int:
        raise NotAProofError("a number has another type")
    if not merkle.is_included(leaf, index, seal.rows, _hashes(value["path"]), seal.root):
        report.add("row_unproven", table=table, id=pk, seal=seal.number)
    elif not merkle.is_included(
        seal.hash(), seal.number - 1, head.number, _hashes(value["seal_path"]), head.log_root
    ):
        report.add("seal_unproven", seal=seal.number, head=head.number)
    else:
        report.rows += 1


def _check_heads(
    report: CheckReport, values: Sequence[Mapping[str, Any]], head: SealFacts, wanted: Sequence[Head]
) -> None:
    """Check that older heads are beginnings of the head, and that the wanted heads are among them."""
    proven = {head.number: head.log_root}
    for value in values:
        number, root = value["seal"], bytes.fromhex(value["log_root"])
        if type(number) is not int:
            raise NotAProofError("a number has another type")
        if merkle.is_consistent(number, head.number, (root, head.log_root), _hashes(value["path"])):
            proven[number] = root
        else:
            report.add("head_unproven", seal=number, head=head.number)
    for older in wanted:
        if older.seal not in proven:
            report.add("head_absent", seal=older.seal)
        elif proven[older.seal] != older.log_root:
            report.add("head", seal=older.seal)


def _hashes(values: Sequence[str]) -> list[bytes]:
    return [bytes.fromhex(value) for value in values]
