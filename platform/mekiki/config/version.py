"""The version of this installation, with the commit if it is known."""

import subprocess
from pathlib import Path

from mekiki import __version__

# Written by the build of the container image, which has no repository (deploy/Dockerfile).
COMMIT_FILE = Path(__file__).with_name("commit.txt")
REPOSITORY = Path(__file__).parents[3]


def full_version() -> str:
    """Return "0.1.0 (commit 1a2b3c4d5e6f)", or the version alone if no commit is known.

    A "+" after the commit means that files of the repository have uncommitted changes.
    """
    commit = _commit()
    return f"{__version__} (commit {commit})" if commit else __version__


def _commit() -> str:
    if COMMIT_FILE.is_file():
        return COMMIT_FILE.read_text("ascii").strip()[:12]
    if not (REPOSITORY / ".git").exists():
        return ""
    command = [
        "git",
        "-C",
        str(REPOSITORY),
        "describe",
        "--always",
        "--abbrev=12",
        "--exclude=*",
        "--dirty=+",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):  # no git, or a repository of another user
        return ""
