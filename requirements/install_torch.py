"""Install torch and torchvision into the Python that runs this, in the versions of workers.txt.

    python requirements/install_torch.py [INDEX]

Without INDEX: whichever build the index has that pip is set up with, if its hash is in the lock. pip by itself would pass
over a build that an index offers without a hash, and take the larger one of PyPI. With INDEX: the build that this index
has, from it alone, without a hash (docs/decisions/0001).
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
    """Whether a build of this version is installed."""
    try:
        return importlib.metadata.version(name).split("+")[0] == version
    except importlib.metadata.PackageNotFoundError:
        return False


def main(index: str) -> None:
    """Install what is missing."""
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
