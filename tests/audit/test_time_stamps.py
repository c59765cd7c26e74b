"""Time stamps by a real authority: OpenSSL, with certificates created here."""

import contextlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from mekiki.audit.models import Event, Seal, SealTimeStamp
from mekiki.audit.sealing import seal_new_rows, signed_facts_of
from mekiki.audit.services import record
from mekiki.audit.stamping import add_time_stamp
from mekiki.audit.time_stamps import build_stamp_request, check_stamp, read_reply
from mekiki.audit.verification import check_database, export_file
from tests import factories
from verification.audit_file import check_file

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("signing_key")]
Answer = Callable[[bytes], bytes]

CONFIGURATION = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
certs = {folder}/ca.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
crypto_device = builtin
"""


def openssl(folder: Path, *command: str) -> None:
    process = subprocess.run(["openssl", *command], cwd=folder, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create the folder of an authority: ca.pem certifies tsa.pem, which may create time stamps."""
    folder = tmp_path_factory.mktemp("tsa")
    (folder / "tsa.cnf").write_text(CONFIGURATION.format(folder=folder))
    (folder / "serial").write_text("01\n")
    (folder / "usage").write_text(
        "extendedKeyUsage=critical,timeStamping\n"
        "keyUsage=critical,digitalSignature\n"
        "basicConstraints=CA:FALSE\n"
    )
    for name in ("ca", "other"):
        openssl(
            folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out",
            f"{name}.pem",
            "-subj", f"/CN=Test {name}", "-days", "30", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip
    openssl(
        folder,
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "tsa.key",
        "-out",
        "tsa.csr",
        "-subj",
        "/CN=Test TSA",
    )
    openssl(
        folder, "x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-out", "tsa.pem", "-days", "30", "-extfile", "usage",
    )  # fmt: skip
    return folder


@pytest.fixture
def answer(authority: Path, tmp_path: Path) -> Answer:
    """Return the authority's reply to a request."""

    def reply_to(request: bytes) -> bytes:
        (tmp_path / "seal.tsq").write_bytes(request)
        openssl(
            authority, "ts", "-reply", "-config", "tsa.cnf", "-queryfile", str(tmp_path / "seal.tsq"),
            "-out", str(tmp_path / "seal.tsr"),
        )  # fmt: skip
        return (tmp_path / "seal.tsr").read_bytes()

    return reply_to


@pytest.fixture
def seal() -> Seal:
    record(kind="test.happened")
    seal_new_rows()
    return Seal.objects.get()


def test_a_reply_is_kept_with_its_seal_and_checked_with_it(
    seal: Seal, answer: Answer, authority: Path, tmp_path: Path
) -> None:
    request = build_stamp_request(signed_facts_of(seal).statement())
    reply, roots = answer(request), (authority / "ca.pem").read_bytes()
    record(kind="test.later")
    seal_new_rows()  # the reply arrives after newer seals
    stamp = add_time_stamp(reply=reply, roots_pem=roots, user=factories.UserFactory(is_superuser=True))
    assert stamp.seal_id == seal.number and "Test TSA" in stamp.authority
    assert Event.objects.get(kind="seal.time_stamped").data["seal"] == seal.number
    report = check_database()
    assert report.ok and report.time_stamps == 1
    export_file(tmp_path / "audit.zip")
    report = check_file(tmp_path / "audit.zip", check_stamp=check_stamp)
    assert report.ok and report.time_stamps == 1
    with pytest.raises(ValidationError, match="already"):
        add_time_stamp(reply=reply, roots_pem=roots)


def test_recreated_seal_does_not_match_its_time_stamp(seal: Seal, answer: Answer, authority: Path) -> None:
    from tests.audit.test_seals import owner_of_the_database

    reply = answer(build_stamp_request(signed_facts_of(seal).statement()))
    add_time_stamp(reply=reply, roots_pem=(authority / "ca.pem").read_bytes())
    with owner_of_the_database() as execute:
        execute("UPDATE audit_event SET kind = 'test.other' WHERE kind = 'test.happened'")
        execute("DELETE FROM audit_sealleaves")
        execute("DELETE FROM audit_seal")
    seal_new_rows()
    assert [f.code for f in check_database().findings] == ["time_stamp"]


def test_invalid_replies_are_refused_with_the_reason(seal: Seal, answer: Answer, authority: Path) -> None:
    roots, others = (authority / "ca.pem").read_bytes(), (authority / "other.pem").read_bytes()
    reply = answer(build_stamp_request(signed_facts_of(seal).statement()))
    for bad, given_roots, reason in (
        (answer(build_stamp_request(b"something else")), roots, "not for the statement"),
        (reply, others, "not signed by an authority"),
        (reply, b"no certificate", "cannot be read"),
        (b"no reply", roots, "no reply"),
        (b"", roots, "no reply"),
        (reply[:-20], roots, "no reply"),
        (b"x" * (1 << 21), roots, "too large"),
    ):
        with pytest.raises(ValidationError, match=reason):
            add_time_stamp(reply=bad, roots_pem=given_roots)
    with pytest.raises(PermissionDenied):
        add_time_stamp(reply=reply, roots_pem=roots, user=factories.UserFactory())
    assert not SealTimeStamp.objects.exists()


@pytest.mark.parametrize("comment", [b"caf\xe9", b"\xff\xfe", b"a\0b"], ids=["latin", "utf-16", "nul"])
def test_certificates_with_a_comment_in_another_encoding_are_accepted(
    seal: Seal, answer: Answer, authority: Path, comment: bytes
) -> None:
    roots = b"# " + comment + b"\n" + (authority / "ca.pem").read_bytes()
    stamp = add_time_stamp(
        reply=answer(build_stamp_request(signed_facts_of(seal).statement())), roots_pem=roots
    )
    stamp.refresh_from_db()
    report = check_database()
    assert report.ok and report.time_stamps == 1


def test_reply_for_an_old_seal_is_accepted(seal: Seal, answer: Answer, authority: Path) -> None:
    reply = answer(build_stamp_request(signed_facts_of(seal).statement()))
    fields = {field.attname: getattr(seal, field.attname) for field in Seal._meta.fields}
    # A seal every ten minutes for eight days.
    Seal.objects.bulk_create(
        Seal(**fields | {"number": number, "last_id": seal.last_id + number}) for number in range(2, 1154)
    )
    stamp = add_time_stamp(reply=reply, roots_pem=(authority / "ca.pem").read_bytes())
    assert stamp.seal_id == seal.number


def test_a_damaged_reply_is_refused_with_a_reason(seal: Seal, answer: Answer, authority: Path) -> None:
    statement, roots = signed_facts_of(seal).statement(), (authority / "ca.pem").read_bytes()
    reply = answer(build_stamp_request(statement))
    for at in range(len(reply)):
        for value in (reply[at] ^ 1, reply[at] ^ 0x60):
            changed = reply[:at] + bytes([value]) + reply[at + 1 :]
            for given_roots in (roots, b""):
                with contextlib.suppress(ValueError):
                    read_reply(changed, statement, given_roots)


def test_time_stamp_without_certificates_stores_no_roots(seal: Seal, answer: Answer) -> None:
    stamp = add_time_stamp(reply=answer(build_stamp_request(signed_facts_of(seal).statement())))
    assert stamp.roots_pem == "" and check_database().ok
