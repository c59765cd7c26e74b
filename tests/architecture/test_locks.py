"""Installed packages: every version pinned, every file with its hash, one index."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.architecture.test_structure import ROOT, run

FOLDER = ROOT / "requirements"
LOCKS = sorted(file.stem for file in FOLDER.glob("*.txt"))


def pins(name: str) -> dict[str, list[str]]:
    """Return the hashes of each requirement "name==version" of a lock file.

    Fails if a line holds anything else.
    """
    pinned = {}
    text = (FOLDER / f"{name}.txt").read_text().replace(" \\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            requirement, *hashes = line.split("  #")[0].split()
            assert re.fullmatch(r"[a-z0-9-]+==[0-9][A-Za-z0-9.]*", requirement), line
            assert hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), line
            pinned[requirement] = hashes
    return pinned


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_is_pinned_with_the_hashes_of_its_files(name: str) -> None:
    assert pins(name)


def test_every_set_is_locked_and_agrees_with_the_sets_below_it() -> None:
    assert {file.stem for file in FOLDER.glob("*.in")} == set(LOCKS)
    web, workers = set(pins("web")), set(pins("workers"))
    assert web <= workers
    assert workers <= set(pins("dev"))
    assert workers <= set(pins("bench"))
    versions = dict(pin.split("==") for pin in workers)
    assert {
        name: version for name, version in (p.split("==") for p in pins("build")) if name in versions
    }.items() <= (versions.items())


def test_torch_has_the_files_of_pypi_and_of_the_cpu_build() -> None:
    torch = next(hashes for pin, hashes in pins("workers").items() if pin.startswith("torch=="))
    assert len(torch) > 10
    # torch-2.13.0+cpu for CPython 3.11 on x86_64, as download.pytorch.org/whl/cpu has it
    assert "--hash=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b" in torch
    assert not any(pin.startswith(("nvidia-", "cuda-", "triton")) for pin in pins("workers"))


def test_the_package_names_the_same_versions() -> None:
    """The build reads the lock files, with their hashes, as the dependencies."""
    program = """
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
core = ProjectMetadata(".", PluginManager()).core
print(*core.dependencies, *core.optional_dependencies["workers"], sep="\\n")
"""
    import sys

    done = run(sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split("\n")) - {""} == set(pins("web")) | set(pins("workers"))


def test_no_second_index_and_no_install_without_hashes() -> None:
    """With --extra-index-url, pip installs a package from the index with the higher version."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [
        ROOT / name for name in listed.stdout.split("\0") if name and Path(name).suffix not in {".mo", ".png"}
    ]
    wrong = []
    for file in files:
        if (
            not file.is_file()
            or file == Path(__file__)
            or "decisions" in file.parts
            or file.name == "CHANGELOG.md"
        ):
            continue
        for line in file.read_text(errors="replace").splitlines():
            if re.search(r"extra.index.url", line, re.IGNORECASE) and "Never use" not in line:
                wrong.append(f"{file.relative_to(ROOT)}: {line.strip()}")
    assert wrong == []
    for name in ("Makefile", "deploy/Dockerfile"):
        for line in (ROOT / name).read_text().splitlines():
            if (
                re.search(r"(\$\((PIP|LOCKED)\)|bin/pip install)(?! *=)", line)
                and "=" not in line.split("$(")[0]
            ):
                hashed = "--require-hashes" in line or "$(LOCKED)" in line
                # The other installations: this project's own source, and torch
                # (requirements/install_torch.py).
                assert hashed or "--no-index" in line, line
