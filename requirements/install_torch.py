"""Install torch and torchvision, in the versions of workers.txt, for the Python that runs this file.

    python requirements/install_torch.py [INDEX]

Without INDEX, the build comes from the package index that pip is configured with, and its hash must be in the
lock file. If an index offers a build without a hash, pip alone would skip it and install the larger build
from PyPI. With INDEX, the build comes from that index only, and its hash is not checked
(docs/decisions/0001).
"""

import importlib.metadata
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from lock import FOLDER, SEVERAL_BUILDS, entries, entry

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def installed(name: str, version: str) -> bool:
    """Return whether a build of this version is installed."""
    try:
        return importlib.metadata.version(name).split("+")[0] == version
    except importlib.metadata.PackageNotFoundError:
        return False


def main(index: str) -> None:
    """Install the packages that are missing."""
    known = entries((FOLDER / "workers.txt").read_text())
    pins = {pin: hashes for pin, hashes in known.items() if pin[0] in SEVERAL_BUILDS and not installed(*pin)}
    names = [f"{name}=={version}" for name, version in pins]
    if not names:
        return
    if index:
        subprocess.run([*PIP, "install", "--no-deps", "--index-url", index, *names], check=True)
        return
    with tempfile.TemporaryDirectory(prefix="mekiki-torch-") as folder:
        lock = Path(folder) / "torch.txt"
        lock.write_text("".join(entry(*pin, hashes) + "\n" for pin, hashes in pins.items()))
        subprocess.run(
            [*PIP, "download", "--progress-bar", "off", "--no-deps", "--dest", folder, *names], check=True
        )
        hashed = [
            "--require-hashes",
            "--no-deps",
            "--no-index",
            "--find-links",
            folder,
            "--requirement",
            str(lock),
        ]
        subprocess.run([*PIP, "install", *hashed], check=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
