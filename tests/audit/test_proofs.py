"""Proofs of single rows and of older seals: they are valid only for sealed values."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mekiki.audit.models import Event, Seal
from mekiki.audit.private_key import rotate_key
from mekiki.audit.proving import CannotProveError, make_proof
from mekiki.audit.sealing import seal_new_rows
from mekiki.audit.services import record
from mekiki.config.cli.app import app
from mekiki.config.plain import UnusableFileError, UserError
from tests import factories
from tests.offline import run_verifier
from tests.roles import set_fixed
from verification.audit_file import check_file
from verification.checking import Head
from verification.proof_file import NotAProofError, check_proof

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("signing_key")]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def decision(signing_key: Any) -> Any:
    """Create a sealed decision and five seals. The last two are signed by another key."""
    sealed_decision = factories.DecisionFactory(note="傷")
    for n in range(7):
        record(kind="test.happened", data={"n": n})
    seal_new_rows()
    record(kind="test.happened", data={"n": 8})
    seal_new_rows()
    rotate_key()
    for n in (9, 10):
        record(kind="test.happened", data={"n": n})
        seal_new_rows()
    assert Seal.objects.count() == 5
    return sealed_decision


def pems(signing_key: Any) -> list[bytes]:
    return [signing_key.public_pem.encode()]


def test_rows_and_heads_are_proven(decision: Any, signing_key: Any) -> None:
    events = list(Event.objects.values_list("pk", flat=True))[:-1]
    rows = [("decisions", decision.pk), *(("events", pk) for pk in events)]
    proof = make_proof(rows=rows, heads=range(1, 6))
    heads = [Head(seal.number, bytes(seal.log_root)) for seal in Seal.objects.all()]
    report = check_proof(proof, keys=pems(signing_key), heads=heads)
    assert (report.ok, report.rows, report.seals, report.pinned) == (True, len(rows), 5, True)
    assert "傷" not in proof.decode()  # notes stay on the platform


def test_head_that_does_not_match_the_seals_is_named(decision: Any) -> None:
    proof = make_proof(heads=[2])
    codes = lambda *heads: [f.code for f in check_proof(proof, heads=heads).findings]  # noqa: E731
    assert codes(Head(2, bytes(32))) == ["head"]
    assert codes(Head(3, bytes(Seal.objects.get(number=3).log_root))) == ["head_absent"]
    assert codes(Head(5, bytes(Seal.objects.get(number=5).log_root))) == []


def test_proof_by_another_key_is_named(decision: Any, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    other = (
        Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    report = check_proof(make_proof(heads=[1]), keys=[other])
    assert [f.code for f in report.findings] == ["key_other"]


def changes() -> dict[str, Callable[[dict[str, Any]], object]]:
    def row(value: dict[str, Any]) -> None:
        text = json.loads(value["rows"][0]["row"])
        value["rows"][0]["row"] = json.dumps({**text, "kind": "skip"})

    return {
        "row": row,
        "index": lambda value: value["rows"][0].update(index=value["rows"][0]["index"] + 1),
        "path": lambda value: value["rows"][1]["path"].pop(),
        "seal": lambda value: value["rows"][0]["seal"].update(sealed_at="2020-01-01T00:00:00.000000Z"),
        "seal_path": lambda value: value["rows"][0]["seal_path"].reverse(),
        "root": lambda value: value["rows"][0]["seal"].update(root="00" * 32),
        "head": lambda value: value["head"].update(log_root="00" * 32),
        "signature": lambda value: value["head"].update(signature="00" * 64),
        "older": lambda value: value["heads"][0].update(log_root="00" * 32),
        "older path": lambda value: value["heads"][0]["path"].pop(),
        "keys": lambda value: value["keys"].pop(),
    }


@pytest.mark.parametrize("name", sorted(changes()))
def test_changed_proof_is_not_accepted(decision: Any, name: str) -> None:
    sealed = Event.objects.filter(kind="test.happened").first()
    assert sealed is not None
    proof = json.loads(make_proof(rows=[("decisions", decision.pk), ("events", sealed.pk)], heads=[3]))
    assert check_proof(json.dumps(proof).encode()).ok
    changes()[name](proof)
    assert not check_proof(json.dumps(proof).encode()).ok


@pytest.mark.parametrize(
    ("rows", "heads", "reason"),
    [
        ([("events", 10**9)], [], "there is no row"),
        ([("decisions", 10**9)], [], "there is no row"),
        ([], [99], "no seal 99; the newest is 5"),
    ],
)
def test_missing_rows_and_seals_cannot_be_proven(decision: Any, rows: Any, heads: Any, reason: str) -> None:
    with pytest.raises(CannotProveError, match=reason):
        make_proof(rows=rows, heads=heads)


def test_unsealed_and_changed_rows_cannot_be_proven(decision: Any) -> None:
    new = record(kind="test.unsealed")
    with pytest.raises(CannotProveError, match="not sealed yet"):
        make_proof(rows=[("events", new.pk)])
    changed = Event.objects.filter(kind="test.happened").earliest("pk")
    set_fixed(changed, data={"n": 99})
    with pytest.raises(CannotProveError, match="differs from its sealed content"):
        make_proof(rows=[("events", changed.pk)])


def test_proof_before_the_first_seal_is_refused() -> None:
    with pytest.raises(CannotProveError, match="Nothing is sealed yet"):
        make_proof(heads=[1])


@pytest.mark.parametrize(
    "content", [b"{", b"{}", b'{"format": "mekiki-audit-proof", "version": 1}', b"{" + b"[" * 99_999]
)
def test_files_that_are_no_proofs_are_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(NotAProofError):
        check_proof(content)
    file = tmp_path / "proof.json"
    file.write_bytes(content)
    assert [f.code for f in check_file(file).findings] == ["not_ours"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data())
def test_proof_with_an_arbitrary_value_is_never_accepted(decision: Any, data: st.DataObject) -> None:
    """The test replaces one value of the file by any other value."""
    proof = json.loads(make_proof(rows=[("decisions", decision.pk)], heads=[2]))
    before = json.dumps(proof)
    node: Any = proof
    while True:
        step = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if isinstance(node[step], dict | list) and node[step] and data.draw(st.booleans()):
            node = node[step]
            continue
        node[step] = data.draw(JSON)
        break
    try:
        report = check_proof(json.dumps(proof).encode())
    except NotAProofError:
        return
    # A shortened proof is valid only for fewer rows or seals, or for keys that are not needed.
    assert not report.ok or proof.get("head") == json.loads(before)["head"]


def test_a_proof_is_checked_without_the_platform(decision: Any, tmp_path: Path, signing_key: Any) -> None:
    file, key = tmp_path / "proof.json", tmp_path / "key.pem"
    file.write_bytes(make_proof(rows=[("decisions", decision.pk)], heads=[1]))
    key.write_text(signing_key.public_pem)
    process = run_verifier("verification.audit_file", file, key, folder=tmp_path)
    assert process.returncode == 0, process.stdout + process.stderr
    assert json.loads(process.stdout)["rows"] == 1


def test_the_commands_write_and_check_a_proof(decision: Any, tmp_path: Path, signing_key: Any) -> None:
    file, key = tmp_path / "proof.json", tmp_path / "key.pem"
    key.write_text(signing_key.public_pem)
    run = lambda *arguments: CliRunner().invoke(app, ["audit", *map(str, arguments)])  # noqa: E731
    result = run("prove", file)
    assert isinstance(result.exception, UnusableFileError) and not file.exists()
    result = run("prove", file, "--event", 10**9)
    assert isinstance(result.exception, UserError) and not file.exists()
    result = run("prove", file, "--decision", decision.pk, "--since", 2)
    assert result.exit_code == 0 and "mekiki audit verify" in result.output
    result = run("prove", file, "--since", 1)
    assert isinstance(result.exception, UnusableFileError), "nothing is replaced"
    head = f"2:{bytes(Seal.objects.get(number=2).log_root).hex()}"
    result = run("verify", file, "--key", key, "--head", head)
    assert result.exit_code == 0 and "the head of seal 5 covers 1 rows" in result.output
    result = run("verify", file, "--head", f"2:{'00' * 32}")
    assert result.exit_code == 1
