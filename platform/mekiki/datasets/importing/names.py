"""Names of files as people sent them: made readable, checked, never used as paths."""

import unicodedata
import zipfile
from pathlib import PurePosixPath

from mekiki.datasets.problems import ProblemError

MAX_NAME = 500  # characters kept of a name
_IGNORED_FILES = {".ds_store", "thumbs.db", "desktop.ini", "ehthumbs.db"}
_IGNORED_FOLDERS = {"__macosx", ".appledouble", "$recycle.bin", "system volume information"}


def readable(name: str) -> str:
    """A name fit for a screen: composed characters (NFC), forward slashes, no control characters, bounded.

    Also drops direction overrides, which make "gpj.exe" read as "exe.jpg".
    """
    name = unicodedata.normalize("NFC", name.replace("\\", "/"))
    name = "".join(c for c in name if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"})
    name = name.removeprefix("./").strip()
    return name if len(name) <= MAX_NAME else "…" + name[1 - MAX_NAME :]


def ignorable(name: str) -> bool:
    """Files that operating systems leave behind; nobody wants to hear of them."""
    parts = [p.lower() for p in PurePosixPath(name.replace("\\", "/")).parts]
    if not parts:
        return True
    return (
        parts[-1] in _IGNORED_FILES
        or parts[-1].startswith("._")
        or any(part in _IGNORED_FOLDERS for part in parts[:-1])
    )


def check_entry_path(name: str) -> None:
    """ProblemError("unsafe_path") for a name in an archive that leads out of it: "..", absolute, a drive letter."""
    flat = name.replace("\\", "/")
    parts = flat.split("/")
    if flat.startswith("/") or ".." in parts or (len(parts[0]) == 2 and parts[0][1] == ":"):
        raise ProblemError("unsafe_path")


def of_entry(info: zipfile.ZipInfo) -> str:
    """The name of a zip entry.

    Without the UTF-8 flag a zip does not say its encoding, and zipfile reads it as cp437. Japanese Windows
    writes Shift-JIS (cp932), macOS writes UTF-8 without saying so: tried strictly, UTF-8 first.
    """
    name = info.orig_filename
    if not info.flag_bits & 0x800 and not name.isascii():
        raw = name.encode("cp437", "replace")
        for encoding in ("utf-8", "cp932"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    return name.split("\0", 1)[0]
