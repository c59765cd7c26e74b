"""Runs an offline verifier as on a machine that has a copy of platform/verification and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

VERIFICATION = Path(__file__).resolve().parents[1] / "platform" / "verification"
_PROGRAM = """
import runpy, sys
module, copy = sys.argv[1:3]
sys.argv = [module, *sys.argv[3:]]
status = 0
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit as exit:
    status = exit.code
foreign = {"django", "mekiki", "workers", "imaging", "celery", "torch"}
loaded = {name.partition(".")[0] for name in sys.modules}
assert not foreign & loaded, foreign & loaded
assert sys.modules["verification"].__file__.startswith(copy), sys.modules["verification"].__file__
sys.exit(status)
"""


def run_verifier(module: str, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `python -m module arguments` from a copy in `folder`.

    The exit status is 1 with an AssertionError on stderr if a module of Django or the platform is loaded.
    """
    copy = folder / "verifier"
    shutil.copytree(VERIFICATION, copy / "verification", ignore=shutil.ignore_patterns("__pycache__"))
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM, module, str(copy), *map(str, arguments)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(copy)},
        cwd=folder,
        capture_output=True,
        text=True,
    )


def run_from_source(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `python -m module arguments` from the source, as earlier documentation says."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(VERIFICATION.parent)},
        capture_output=True,
        text=True,
    )
