"""The version is written in one place, and the commit is shown where it is known."""

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

import mekiki
from mekiki.config import version as versions


def test_installed_package_has_the_version_of_the_code() -> None:
    assert version("mekiki") == mekiki.__version__


def test_version_of_a_checkout_contains_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    monkeypatch.setattr(versions, "REPOSITORY", tmp_path)
    assert versions.full_version() == mekiki.__version__  # no repository
    git("init", "-q")
    assert versions.full_version() == mekiki.__version__  # no commit
    (tmp_path / "file").write_text("one")
    git("add", ".")
    git("commit", "-qm", "One")
    git("tag", "v9")
    commit = git("rev-parse", "HEAD")[:12]
    assert versions.full_version() == f"{mekiki.__version__} (commit {commit})"
    (tmp_path / "file").write_text("two")
    assert versions.full_version() == f"{mekiki.__version__} (commit {commit}+)"


def test_version_of_a_container_contains_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "commit.txt"
    file.write_text("0123456789abcdef0123456789abcdef01234567\n")
    monkeypatch.setattr(versions, "COMMIT_FILE", file)
    assert versions.full_version() == f"{mekiki.__version__} (commit 0123456789ab)"
