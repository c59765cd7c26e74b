"""Rules of the code base that no single app can test."""

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from mekiki.config import env

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    path
    for folder in (
        "platform/mekiki",
        "platform/imaging",
        "platform/intervals",
        "platform/verification",
        "workers",
    )
    for path in (ROOT / folder).rglob("*.py")
]


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}", **variables}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def test_platform_module_is_the_standard_librarys() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    done = run(sys.executable, "-c", "import platform; print(platform.system(), platform.__file__)")
    assert done.returncode == 0, done.stderr
    system, file = done.stdout.split(maxsplit=1)
    assert system == os.uname().sysname
    assert not Path(file.strip()).is_relative_to(ROOT / "platform")


def test_imports_follow_the_layers() -> None:
    done = run(str(Path(sys.executable).parent / "lint-imports"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_web_process_has_no_torch() -> None:
    """The program loads every address, which imports every view module."""
    program = """
import sys
import mekiki.config.server.application
from django.urls import get_resolver

def walk(patterns):
    for pattern in patterns:
        walk(pattern.url_patterns) if hasattr(pattern, "url_patterns") else pattern.callback

walk(get_resolver().url_patterns)
heavy = {
    "torch", "torchvision", "open_clip", "timm", "sklearn", "scipy", "workers", "tifffile", "imagecodecs"
}
print(",".join(sorted(heavy & set(sys.modules))))
"""
    done = run(sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_a_process_without_arrays_imports_no_numpy() -> None:
    """Commands, the sweeper and the scheduler would load it at each start (docs/decisions/0050)."""
    program = "import django, sys; django.setup(); print('numpy' in sys.modules)"
    done = run(sys.executable, "-c", program)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr


@pytest.mark.django_db
def test_migrations_are_complete() -> None:
    output = StringIO()
    try:
        call_command("makemigrations", check=True, dry_run=True, stdout=output, verbosity=1)
    except SystemExit:
        pytest.fail(f"Models changed without a migration:\n{output.getvalue()}")


def test_every_environment_variable_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "environment.md").read_text()
    assert page == env.reference(), "run `make docs`"


# Files that use os.environ for something that is not configuration.
NOT_CONFIGURATION = {
    "platform/mekiki/config/wsgi.py": 'setdefault("DJANGO_SETTINGS_MODULE"',
    "platform/mekiki/config/celery.py": 'os.environ.setdefault("',  # set for Django and Celery
    "workers/pocket/train.py": 'setdefault("OMP_WAIT_POLICY"',
    "workers/encoders/onnx_tower.py": '["ORT_DISABLE_TELEMETRY"] = "1"',  # set for ONNX Runtime
}


def test_only_env_reads_the_environment() -> None:
    wrong = []
    for file in SOURCES:
        name = file.relative_to(ROOT).as_posix()
        if name == "platform/mekiki/config/env.py":
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            reads = re.search(r"\bos\.(environ|getenv)\b", line.split("#")[0])
            if reads and NOT_CONFIGURATION.get(name, "\0") not in line:
                wrong.append(f"{name}:{number}: {line.strip()}")
    assert wrong == [], "read it in config/env.py, or list it above with its reason"


def test_every_variable_read_is_in_the_table() -> None:
    asked = re.compile(r"\benv\.(?:text|number|flag|words)\(\s*\"([A-Z_]+)\"")
    names = {name for file in SOURCES for name in asked.findall(file.read_text())}
    assert names - set(env.VARIABLES) == set()


def test_a_mistyped_number_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEKIKI_PORT", "eighty")
    with pytest.raises(env.ConfigurationError, match="MEKIKI_PORT"):
        env.number("MEKIKI_PORT")


def test_python_files_of_the_product_have_at_most_400_lines() -> None:
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in SOURCES}
    long = {name: length for name, length in lengths.items() if length > 400 and "/migrations/" not in name}
    assert long == {}, "make it a folder of the same name, with a module for each subject"


def test_source_files_have_at_most_500_lines() -> None:
    listed = run("git", "ls-files", "-z", "--", "*.py", "*.js", "*.css", "*.html").stdout.split("\0")
    long = {}
    for name in filter(None, listed):
        file = ROOT / name
        if file.is_file() and "/migrations/" not in name:
            lines = len(file.read_text().splitlines())
            if lines > 500:
                long[name] = lines
    assert long == {}, "a file that outgrows 400 lines becomes a folder of the same name"
