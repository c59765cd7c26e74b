"""Reading the environment variables of config/env_table.py.

docs/reference/environment.md is compared with that table by a test. Nothing else in the project
reads os.environ for configuration.
"""

import os
import sys
from pathlib import Path

from mekiki.config import env_checks as checks
from mekiki.config.env_table import VARIABLES

TERMINAL_LANGUAGES = ("en", "ja")


class Misconfigured(ValueError):
    """A variable holds what it cannot mean; the message names the variable."""


def problem_of(name: str, value: str) -> str | None:
    """Return one line that names the variable and what is allowed; None for a value that is. Empty is the default."""
    value = value.strip()
    variable = VARIABLES[name]
    allowed = (checks.plain(value) or variable.check(value)) if value else None
    if allowed is None:
        return None
    shown = "" if variable.is_secret else f", not {value[:40]!a}{'…' if len(value) > 40 else ''}"
    return f"{name} must be {allowed}{shown}."


def require_valid() -> None:
    """End the process, with status 2 and one line for each variable that holds what it cannot mean."""
    problems = [line for name in VARIABLES if (line := problem_of(name, os.environ.get(name, "")))]
    problems += _incomplete_sign_on()
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
        raise SystemExit(2)


def _incomplete_sign_on() -> list[str]:
    """Return one line for each variable that single sign-on needs and that is empty."""
    needed = ("MEKIKI_OIDC_ISSUER", "MEKIKI_OIDC_CLIENT_ID", "MEKIKI_OIDC_CLIENT_SECRET_FILE")
    given = [name for name in needed if text(name)]
    if not given:
        return []
    return [f"{name} must be set, because {given[0]} is." for name in needed if name not in given]


def text(name: str) -> str:
    """The variable's value, or its default. KeyError for a name that is not in the table."""
    return os.environ.get(name, "").strip() or VARIABLES[name].default


def number(name: str) -> int:
    """The variable as a whole number. Misconfigured names the variable."""
    try:
        return int(text(name))
    except ValueError:
        raise Misconfigured(f"{name} must be a whole number, not {text(name)!r}.") from None


def flag(name: str) -> bool:
    """True for 1, true, yes, on."""
    return text(name).lower() in {"1", "true", "yes", "on"}


def words(name: str) -> list[str]:
    """A comma-separated list without blanks."""
    return [w.strip() for w in text(name).split(",") if w.strip()]


def home() -> Path:
    """MEKIKI_HOME as an absolute path."""
    return Path(text("MEKIKI_HOME")).expanduser().resolve()


def reference() -> str:
    """docs/reference/environment.md, from the table above (`make docs` writes it)."""
    rows = [
        f"| `{v.name}` | {f'`{v.default}`' if v.default else '—'} | {v.meaning} |" for v in VARIABLES.values()
    ]
    return "\n".join(
        [
            "# Environment variables",
            "",
            "Every choice that differs between machines. All have a default that works on one machine; an empty",
            "value is the same as none. Written from `platform/mekiki/config/env_table.py` by `make docs`; a test",
            "compares the two.",
            "",
            "| variable | default | meaning |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def take(name: str) -> str:
    """The variable's value, which is removed from our environment: no child process will inherit it."""
    value = text(name)
    os.environ.pop(name, None)
    return value


def inherited(changes: dict[str, str]) -> dict[str, str]:
    """The environment for a child process: ours, with `changes`."""
    return {**os.environ, **changes}


def terminal_language() -> str:
    """The language a command speaks: MEKIKI_LANGUAGE where it is set, else the terminal's locale, else English.

    LANGUAGE, LC_ALL, LC_MESSAGES and LANG are GNU's own variables, read in its order.
    """
    given = os.environ.get("MEKIKI_LANGUAGE", "").strip()
    if given:
        return given
    locale = next((v for n in ("LC_ALL", "LC_MESSAGES", "LANG") if (v := os.environ.get(n))), "")
    asked = [locale]
    if locale not in {"", "C", "POSIX"}:  # there, GNU ignores LANGUAGE
        asked = [*os.environ.get("LANGUAGE", "").split(":"), locale]
    for name in asked:
        language = name.split(".")[0].split("_")[0].lower()
        if language in TERMINAL_LANGUAGES:
            return language
    return "en"


def set_terminal_language(language: str) -> None:
    """Let `gettext` and child processes speak `language` too."""
    os.environ["LANGUAGE"] = language


def use_settings() -> None:
    """Name Mekiki's settings to Django, unless others are named already."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mekiki.config.settings")


def colour() -> bool:
    """May output to a terminal be coloured? No with NO_COLOR (no-color.org) or a terminal that cannot."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def visible_gpu() -> bool:
    """Will the encoders run on CUDA? Decided from MEKIKI_DEVICE and the driver's files, without torch.

    CUDA_VISIBLE_DEVICES is NVIDIA's own variable, not ours: an empty value or -1 hides every device.
    """
    device = text("MEKIKI_DEVICE")
    if device != "auto":
        return device.startswith("cuda")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in {"", "-1", "none", "NoDevFiles"}
    return not hidden and Path("/dev/nvidiactl").exists()
