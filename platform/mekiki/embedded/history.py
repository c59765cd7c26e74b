"""Record of operations on a whole home: the last backup."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "last-backup.json"


def last_backup(home: Path) -> dict[str, Any] | None:
    """Return {at, file, bytes} of the last backup, or None if there was no backup."""
    try:
        stored = json.loads((home / FILE).read_text(encoding="utf-8"))
        datetime.fromisoformat(stored["at"])
        return {"at": stored["at"], "file": str(stored["file"]), "bytes": int(stored["bytes"])}
    except (OSError, ValueError, TypeError, KeyError):
        return None


def note_backup(home: Path, file: Path) -> None:
    """Record that the backup `file` was created now."""
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    note = {"at": moment, "file": str(file), "bytes": file.stat().st_size}
    draft = home / f".{FILE}"
    draft.write_text(json.dumps(note, ensure_ascii=False), encoding="utf-8")
    draft.replace(home / FILE)
