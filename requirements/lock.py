"""Write requirements/*.txt, with all versions pinned and all files identified by SHA-256.

torch and torchvision have several builds of one version, and each build is on a separate index. The lock file
names the version that all indexes have. It lists the files of every index that it was made with. pip-compile
alone writes the other entries.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
NAMES = ("web", "workers", "dev", "bench", "build")
ENTRY = re.compile(r"^([a-z0-9-]+)==([^\s+]+)(?:\+\S+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)", re.M)
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)", re.M)
HASH = re.compile(r"sha256:[0-9a-f]{64}")
SEVERAL_BUILDS = ("torch", "torchvision")
COMPILE = (
    *("pip-compile", "--quiet", "--strip-extras", "--allow-unsafe", "--generate-hashes", "--no-header"),
    *("--annotation-style=line", "--no-emit-options", "--no-emit-index-url", "--no-emit-find-links"),
    "--no-emit-trusted-host",
)


def entry(name: str, version: str, hashes: set[str]) -> str:
    """Return the lines of one pinned requirement."""
    return f"{name}=={version}" + "".join(f" \\\n    --hash={one}" for one in sorted(hashes))


def entries(text: str) -> dict[tuple[str, str], set[str]]:
    """Return (name, version) → hashes of every entry of a lock file."""
    return {(name, version): set(HASH.findall(hashes)) for name, version, hashes in ENTRY.findall(text)}


def merge_builds(after: str, known: dict[tuple[str, str], set[str]]) -> str:
    """Return `after`, with the known hashes of the same version added for torch and torchvision."""

    def merged(found: re.Match[str]) -> str:
        name, version, hashes = found.groups()
        if name not in SEVERAL_BUILDS:
            return found[0]
        return entry(name, version, known.get((name, version), set()) | set(HASH.findall(hashes)))

    return ENTRY.sub(merged, after)


def seed(text: str, known: dict[tuple[str, str], set[str]]) -> str:
    """Return the pins of `text` with all known hashes, so that pip-compile fetches only new files.

    torch and torchvision get no hashes. With them, pip-compile would choose the build with a known hash
    instead of the build on this machine's index.
    """
    pins = dict(PIN.findall(text))
    for name, version in known:
        pins.setdefault(name, version)
    return "".join(
        entry(name, version, set() if name in SEVERAL_BUILDS else known.get((name, version), set())) + "\n"
        for name, version in pins.items()
    )


def compile_file(file: Path, options: list[str], **environment: str) -> None:
    """Compile the .in file to `file`. Pins stay unless `options` contains --upgrade."""
    command = [
        *COMPILE,
        *options,
        "--output-file",
        f"requirements/{file.name}",
        f"requirements/{file.stem}.in",
    ]
    program = Path(sys.executable).parent / command[0]
    subprocess.run([program, *command[1:]], cwd=FOLDER.parent, env=os.environ | environment, check=True)


def compile_cuda(options: list[str]) -> None:
    """Write cuda.txt, and add the hashes of PyPI's torch to the other files.

    Downloads torch from PyPI (500 MB).
    """
    file = FOLDER / "cuda.txt"
    compile_file(file, options, PIP_CONFIG_FILE=os.devnull, PIP_FIND_LINKS="")
    found = entries(file.read_text())
    for other in (FOLDER / f"{name}.txt" for name in NAMES):
        other.write_text(merge_builds(other.read_text(), found))
    workers = {name for name, _version in entries((FOLDER / "workers.txt").read_text())}
    rest = [entry(*pin, hashes) for pin, hashes in found.items() if pin[0] not in workers]
    file.write_text("\n".join(rest) + "\n")


def main(options: list[str]) -> None:
    """Compile all requirements/*.in, or only cuda.in with --cuda."""
    if "--cuda" in options:
        compile_cuda([option for option in options if option != "--cuda"])
        return
    files = [FOLDER / f"{name}.txt" for name in NAMES]
    known = {
        pin: hashes for file in files if file.exists() for pin, hashes in entries(file.read_text()).items()
    }
    for file in files:
        file.write_text(seed(file.read_text() if file.exists() else "", known))
        compile_file(file, options)
        file.write_text(merge_builds(file.read_text(), known))
        known |= entries(file.read_text())


if __name__ == "__main__":
    main(sys.argv[1:])
