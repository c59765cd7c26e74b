"""The private signing key: a file that workers and the command line read, but web pages never read.

The key is created once, by an explicit act with an event (`mekiki up` on a new platform, or `mekiki key
make`). A file that is missing afterwards is an error. It is never replaced silently by a new key.
"""

import getpass
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from mekiki.audit.keys import current_key
from mekiki.audit.models import SigningKey
from mekiki.audit.services import record
from mekiki.config import env
from mekiki.embedded.secrets import create_if_missing, keys_folder
from verification import signing
from verification.rotation import endorsement_text

_LOCK = 0x6D656B6B  # number of the advisory lock that serializes changes of the keys


class SigningKeyError(ValidationError):
    """An error for a signing key that cannot be used. The message gives the reason and the remedy."""


def key_file() -> Path:
    """Return the path of the private key."""
    given = env.text("MEKIKI_SIGNING_KEY_FILE")
    return Path(given).expanduser() if given else Path(settings.HOME) / "keys" / "signing.pem"


def load_key() -> tuple[SigningKey, Ed25519PrivateKey]:
    """Return the public and the private half of the key in use.

    Raises SigningKeyError if there is no key, or if its file cannot be used.
    """
    row = current_key()
    if row is None:
        raise SigningKeyError(
            _(
                "This platform has no signing key yet. Nothing was signed. Make one with “mekiki key make” "
                "on the machine of the worker."
            )
        )
    path = key_file()
    unfinished = _finish_rotation(path, row)
    try:
        private = _read(path)
    except FileNotFoundError:
        raise unfinished or SigningKeyError(
            _(
                "The file of the signing key, %(path)s, is missing. Nothing was signed, and no new "
                "key was created. Restore the file from a backup; if it is permanently lost, run "
                "“mekiki key rotate --lost”."
            ),
            params={"path": path},
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from None
    if signing.key_id(signing.public_pem(private)) != row.fingerprint:
        raise unfinished or SigningKeyError(
            _(
                "The key in %(path)s is not the key in use, whose fingerprint is %(fingerprint)s. "
                "Nothing was signed. Restore the right file from a backup; if it is permanently "
                "lost, run “mekiki key rotate --lost”."
            ),
            params={"path": path, "fingerprint": signing.grouped(row.fingerprint)},
        )
    return row, private


@transaction.atomic
def make_first_key() -> SigningKey:
    """Create the platform's first signing key, or register the key file of an older version.

    Raises SigningKeyError if the platform has a key already, or if the existing file cannot be read.
    """
    _lock()
    if current_key() is not None:
        raise SigningKeyError(_("This platform has a signing key already. Nothing was changed."))
    path = key_file()
    older = Path(settings.HOME) / "keys" / "signing.pem"
    if not path.exists() and older.exists():
        raise SigningKeyError(
            _(
                "The key of this platform is at %(older)s, but the settings expect it at %(path)s. "
                "No new key was created. Move the file there."
            ),
            params={"older": older, "path": path},
        )
    act = SigningKey.Act.REGISTERED if path.exists() else SigningKey.Act.MADE
    if act == SigningKey.Act.MADE:
        _folder(path)
        create_if_missing(path, _pem(Ed25519PrivateKey.generate()))
    return _note(_read(path), act, endorsement=b"")


def rotate_key(*, lost: bool = False) -> SigningKey:
    """Replace the signing key by a new key that the previous key signs for.

    With `lost`, the private key is lost: the new key has no such signature, and the record shows this. Raises
    SigningKeyError if the key cannot be used (without `lost`), or if it can be used (with `lost`).
    """
    path = key_file()
    with transaction.atomic():
        _lock()
        before = current_key()
        old = None
        try:
            before, old = load_key()
        except SigningKeyError:
            if not lost or before is None:
                raise
        if lost and old is not None:
            raise SigningKeyError(
                _("The signing key is there and can be used. Nothing was changed. Rotate it without --lost.")
            )
        new = Ed25519PrivateKey.generate()
        fingerprint = signing.key_id(signing.public_pem(new))
        _folder(path)
        _write(_next(path), _pem(new))
        text = endorsement_text(previous=before.fingerprint, fingerprint=fingerprint)
        row = _note(
            new,
            SigningKey.Act.ROTATED if old is not None else SigningKey.Act.REPLACED,
            endorsement=old.sign(text) if old is not None else b"",
        )
    _finish_rotation(path, row)
    return row


def encrypt_key_file() -> bool:
    """Encrypt the key file with the passphrase that is set; return whether this was necessary.

    A file that is encrypted already stays as it is.
    """
    path = key_file()
    if _passphrase() is None or not path.exists() or b"ENCRYPTED" in path.read_bytes()[:100]:
        return False
    _write(path, _pem(_read(path)))
    return True


def settle_key() -> SigningKey:
    """Create the first key if the platform has none, else check that the current key can sign; return it.

    Called when a platform starts. Raises SigningKeyError if the key cannot be used.
    """
    if current_key() is None:
        try:
            make_first_key()
        except SigningKeyError:
            if current_key() is None:
                raise
    encrypt_key_file()
    return load_key()[0]


def _note(private: Ed25519PrivateKey, act: SigningKey.Act, *, endorsement: bytes) -> SigningKey:
    pem = signing.public_pem(private)
    row = SigningKey.objects.create(
        fingerprint=signing.key_id(pem), public_pem=pem.decode(), act=act, endorsement=endorsement
    )
    record(
        kind=f"signing_key.{act}",
        target=row,
        data={"fingerprint": row.fingerprint, "system_user": _system_user()},
    )
    return row


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user id has no name
        return str(os.getuid())


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _finish_rotation(path: Path, row: SigningKey) -> SigningKeyError | None:
    """Move the key file of a recorded rotation to its place, if the rotation stopped before that step.

    Return the error if there is such a file that cannot be read. It matters only if the file in place does
    not hold the key in use.
    """
    draft = _next(path)
    try:
        if signing.key_id(signing.public_pem(_read(draft))) == row.fingerprint:
            draft.replace(path)
    except FileNotFoundError:
        return None
    except SigningKeyError as error:
        return error
    except OSError as error:
        return _unreadable(draft, error)
    return None


def _unreadable(path: Path, error: OSError) -> SigningKeyError:
    return SigningKeyError(
        _(
            "The file of the signing key, %(path)s, cannot be read: %(why)s. Nothing was signed. "
            "Make the file readable for the worker, or restore it from a backup."
        ),
        params={"path": path, "why": error.strerror or str(error)},
    )


def _next(path: Path) -> Path:
    return path.with_name(path.name + ".next")


def _folder(path: Path) -> None:
    if path.parent == Path(settings.HOME) / "keys":
        keys_folder(Path(settings.HOME))


def _passphrase() -> bytes | None:
    return env.text("MEKIKI_SIGNING_PASSPHRASE").encode() or None


def _pem(key: Ed25519PrivateKey) -> bytes:
    passphrase = _passphrase()
    cipher: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, cipher)


def _read(path: Path) -> Ed25519PrivateKey:
    """Return the key in a file, encrypted or not.

    Raises OSError if the file cannot be read. Raises SigningKeyError if it holds no key, needs a passphrase,
    or holds another kind of key.
    """
    content = path.read_bytes()
    encrypted = b"ENCRYPTED" in content[:100]
    passphrase = _passphrase() if encrypted else None
    if encrypted and passphrase is None:
        raise SigningKeyError(
            _(
                "The signing key in %(path)s is encrypted, and MEKIKI_SIGNING_PASSPHRASE is not set "
                "for this process. Nothing was signed. Set it and start again."
            ),
            params={"path": path},
        )
    try:
        key = load_pem_private_key(content, password=passphrase)
    except ValueError:
        why = (
            _(
                "The passphrase in MEKIKI_SIGNING_PASSPHRASE does not open %(path)s. Nothing was "
                "signed. Set the right passphrase and start again."
            )
            if encrypted
            else _(
                "%(path)s holds no private key in PEM form. Nothing was signed. Restore the key "
                "file from a backup."
            )
        )
        raise SigningKeyError(why, params={"path": path}) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError(_("%(path)s holds a key of another kind than Ed25519."), params={"path": path})
    return key


def _write(path: Path, content: bytes) -> None:
    """Write a file (mode 0600) atomically. An existing file is replaced."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
