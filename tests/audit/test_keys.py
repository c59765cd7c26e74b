"""The signing key: created once by a recorded action, replaced only by a recorded rotation."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mekiki.audit import private_key
from mekiki.audit.keys import broken_links, current_key, key_history
from mekiki.audit.models import Event, SigningKey
from mekiki.audit.private_key import SigningKeyError, load_key, make_first_key, rotate_key, settle_key
from mekiki.embedded.supervisor import children
from verification import signing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def home(settings: Any, tmp_path: Path) -> Path:
    settings.HOME = tmp_path
    return tmp_path


def test_a_key_is_made_once_and_recorded(home: Path) -> None:
    with pytest.raises(SigningKeyError, match="no signing key yet"):
        load_key()
    assert not (home / "keys").exists()
    key = make_first_key()
    file = home / "keys" / "signing.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    event = Event.objects.get(kind="signing_key.made")
    assert event.data["fingerprint"] == key.fingerprint and event.data["system_user"]
    before = file.read_bytes()
    with pytest.raises(SigningKeyError, match="already"):
        make_first_key()
    assert settle_key() == key and file.read_bytes() == before


def test_a_missing_file_is_an_error_and_never_a_new_key(home: Path) -> None:
    make_first_key()
    (home / "keys" / "signing.pem").unlink()
    for use in (load_key, settle_key, rotate_key):
        with pytest.raises(SigningKeyError, match=r"backup.*--lost"):
            use()
    assert list((home / "keys").iterdir()) == [] and SigningKey.objects.count() == 1


def test_another_key_in_its_place_is_an_error(home: Path) -> None:
    make_first_key()
    (home / "keys" / "signing.pem").write_bytes(private_key._pem(Ed25519PrivateKey.generate()))
    with pytest.raises(SigningKeyError, match="not the key in use"):
        load_key()


@pytest.mark.parametrize(
    "content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_damaged_file_is_an_error(home: Path, content: bytes) -> None:
    make_first_key()
    (home / "keys" / "signing.pem").write_bytes(content)
    with pytest.raises(SigningKeyError, match="no private key"):
        load_key()


def test_key_file_of_an_older_version_is_registered(home: Path) -> None:
    (home / "keys").mkdir()
    pem = private_key._pem(key := Ed25519PrivateKey.generate())
    (home / "keys" / "signing.pem").write_bytes(pem)
    assert settle_key().fingerprint == signing.key_id(signing.public_pem(key))
    assert (home / "keys" / "signing.pem").read_bytes() == pem
    assert Event.objects.filter(kind="signing_key.registered").exists()


def test_rotation_keeps_the_history_and_the_old_key_endorses_the_new_key(home: Path) -> None:
    first = make_first_key()
    second = rotate_key()
    assert [key.fingerprint for key in key_history()] == [second.fingerprint, first.fingerprint]
    assert load_key()[0] == second and broken_links([first, second]) == []
    assert Event.objects.get(kind="signing_key.rotated").data["fingerprint"] == second.fingerprint
    assert [path.name for path in (home / "keys").iterdir()] == ["signing.pem"]
    second.endorsement = b"\0" * 64
    assert broken_links([first, second]) == [second]


def test_a_rotation_that_was_killed_before_its_last_step_is_finished(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_first_key()
    monkeypatch.setattr(private_key, "_finish_rotation", lambda path, row: None)
    second = rotate_key()
    monkeypatch.undo()
    assert (home / "keys" / "signing.pem.next").exists()
    assert load_key()[0] == second
    assert not (home / "keys" / "signing.pem.next").exists()


@pytest.mark.parametrize("draft_kind", ["a folder", "damaged", "of another passphrase"])
def test_unreadable_draft_keeps_the_key_in_use(
    home: Path, monkeypatch: pytest.MonkeyPatch, draft_kind: str
) -> None:
    key = make_first_key()
    draft = home / "keys" / "signing.pem.next"
    if draft_kind == "a folder":
        draft.mkdir()
    elif draft_kind == "damaged":
        draft.write_bytes(b"no key")
    else:
        monkeypatch.setenv("MEKIKI_SIGNING_PASSPHRASE", "another passphrase")
        draft.write_bytes(private_key._pem(Ed25519PrivateKey.generate()))
        monkeypatch.delenv("MEKIKI_SIGNING_PASSPHRASE")
    assert load_key()[0] == key
    assert draft.exists()


def test_unreadable_key_of_a_rotation_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotation with a passphrase was killed, and the passphrase is not set any more."""
    make_first_key()
    monkeypatch.setattr(private_key, "_finish_rotation", lambda path, row: None)
    monkeypatch.setenv("MEKIKI_SIGNING_PASSPHRASE", "a passphrase")
    second = rotate_key()
    monkeypatch.undo()
    with pytest.raises(SigningKeyError, match=r"signing\.pem\.next is encrypted"):
        load_key()
    monkeypatch.setenv("MEKIKI_SIGNING_PASSPHRASE", "a passphrase")
    assert load_key()[0] == second


def test_lost_key_is_replaced_only_with_the_lost_option(home: Path) -> None:
    make_first_key()
    with pytest.raises(SigningKeyError, match="without --lost"):
        rotate_key(lost=True)
    (home / "keys" / "signing.pem").unlink()
    new = rotate_key(lost=True)
    assert load_key()[0] == new and new.act == SigningKey.Act.REPLACED and not new.endorsement
    assert Event.objects.filter(kind="signing_key.replaced").exists()


def test_key_file_is_encrypted_with_a_passphrase(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_first_key()
    file = home / "keys" / "signing.pem"
    assert b"ENCRYPTED" not in file.read_bytes()
    monkeypatch.setenv("MEKIKI_SIGNING_PASSPHRASE", "曲がりくねった道 over the hill")
    assert settle_key() == key  # a start with the passphrase encrypts the existing key
    assert b"ENCRYPTED" in file.read_bytes() and stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_key()[0] == key
    assert rotate_key() and b"ENCRYPTED" in file.read_bytes()
    monkeypatch.setenv("MEKIKI_SIGNING_PASSPHRASE", "wrong")
    with pytest.raises(SigningKeyError, match="does not open"):
        load_key()
    monkeypatch.delenv("MEKIKI_SIGNING_PASSPHRASE")
    with pytest.raises(SigningKeyError, match="not set for this process"):
        load_key()


def test_key_file_can_lie_in_a_folder_of_the_worker(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_path = tmp_path_factory.mktemp("worker") / "key.pem"
    monkeypatch.setenv("MEKIKI_SIGNING_KEY_FILE", str(key_path))
    make_first_key()
    assert key_path.exists() and not (home / "keys").exists()
    assert load_key()[0] == current_key()


def test_existing_key_in_another_place_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "keys").mkdir()
    (home / "keys" / "signing.pem").write_bytes(private_key._pem(Ed25519PrivateKey.generate()))
    monkeypatch.setenv("MEKIKI_SIGNING_KEY_FILE", str(home / "elsewhere.pem"))
    with pytest.raises(SigningKeyError, match="Move the file"):
        settle_key()
    assert not (home / "elsewhere.pem").exists() and not SigningKey.objects.exists()


def test_only_the_worker_gets_the_variables_of_the_key(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setenv("MEKIKI_SIGNING_PASSPHRASE", "a secret")
    monkeypatch.setenv("MEKIKI_SIGNING_KEY_FILE", "/elsewhere/key.pem")
    environment = dict(os.environ)
    with socket.socket() as listener:
        others = [
            children.web(home, environment, listener),
            children.search(home, environment),
            children.beat(home, environment),
            children.sweeper(home, environment),
        ]
        for child in others:
            assert child.env is not None
            assert not {name for name in child.env if name.startswith("MEKIKI_SIGNING")}
    worker = children.worker(home, environment)
    assert worker.env is not None and worker.env["MEKIKI_SIGNING_PASSPHRASE"] == "a secret"
