"""Reading of the environment variables in config/env_table.py.

A test compares docs/reference/environment.md with that table. No other module of the project reads os.environ
for configuration.
"""

import os
import sys
from pathlib import Path

from mekiki.config import env_checks as checks
from mekiki.config.env_table import VARIABLES

TERMINAL_LANGUAGES = ("en", "ja")


class ConfigurationError(ValueError):
    """A variable has an invalid value. The message names the variable."""


def validation_message(name: str, value: str) -> str | None:
    """Return one line that names the variable and the allowed values, or None for an allowed value.

    An empty value means the default.
    """
    value = value.strip()
    variable = VARIABLES[name]
    allowed = (checks.plain(value) or variable.check(value)) if value else None
    if allowed is None:
        return None
    shown = "" if variable.is_secret else f", not {value[:40]!a}{'…' if len(value) > 40 else ''}"
    return f"{name} must be {allowed}{shown}."


def require_valid() -> None:
    """Exit with status 2 and print one line for each variable with an invalid value."""
    problems = [line for name in VARIABLES if (line := validation_message(name, os.environ.get(name, "")))]
    problems += _incomplete_sign_on()
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
        raise SystemExit(2)


def _incomplete_sign_on() -> list[str]:
    """Return one line for each empty variable that single sign-on needs."""
    needed = ("MEKIKI_OIDC_ISSUER", "MEKIKI_OIDC_CLIENT_ID", "MEKIKI_OIDC_CLIENT_SECRET_FILE")
    given = [name for name in needed if text(name)]
    if not given:
        return []
    return [f"{name} must be set, because {given[0]} is." for name in needed if name not in given]


def text(name: str) -> str:
    """Return the variable's value, or its default. Raises KeyError for a name that is not in the table."""
    return os.environ.get(name, "").strip() or VARIABLES[name].default


def number(name: str) -> int:
    """Return the variable as a whole number.

    Raises Misconfigured, which names the variable, for any other value.
    """
    try:
        return int(text(name))
    except ValueError:
        raise ConfigurationError(f"{name} must be a whole number, not {text(name)!r}.") from None


def flag(name: str) -> bool:
    """Return True for 1, true, yes or on."""
    return text(name).lower() in {"1", "true", "yes", "on"}


def words(name: str) -> list[str]:
    """Return the members of a comma-separated list, without surrounding blanks."""
    return [w.strip() for w in text(name).split(",") if w.strip()]


def home() -> Path:
    """Return MEKIKI_HOME as an absolute path."""
    return Path(text("MEKIKI_HOME")).expanduser().resolve()


def reference() -> str:
    """Return the text of docs/reference/environment.md (`make docs` writes the file)."""
    rows = [
        f"| `{v.name}` | {f'`{v.default}`' if v.default else '—'} | {v.meaning} |" for v in VARIABLES.values()
    ]
    return "\n".join(
        [
            "# Environment variables",
            "",
            (
                "Settings that differ between machines. "
                "Every variable has a default that works on one machine. An"
            ),
            "empty value is the same as no value. `make docs` writes this page from",
            "`platform/mekiki/config/env_table.py`, and a test compares the two.",
            "",
            "| variable | default | meaning |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def pop(name: str) -> str:
    """Return the variable's value and remove the variable from our environment.

    Child processes then do not inherit it.
    """
    value = text(name)
    os.environ.pop(name, None)
    return value


def child_environment(changes: dict[str, str]) -> dict[str, str]:
    """Return the environment for a child process: our environment with `changes`."""
    return {**os.environ, **changes}


def terminal_language() -> str:
    """Return the language of commands: MEKIKI_LANGUAGE, else the terminal's locale, else English.

    LANGUAGE, LC_ALL, LC_MESSAGES and LANG are variables of GNU gettext and are read in its order.
    """
    given = os.environ.get("MEKIKI_LANGUAGE", "").strip()
    if given:
        return given
    locale = next((v for n in ("LC_ALL", "LC_MESSAGES", "LANG") if (v := os.environ.get(n))), "")
    asked = [locale]
    if locale not in {"", "C", "POSIX"}:  # GNU gettext ignores LANGUAGE in these locales
        asked = [*os.environ.get("LANGUAGE", "").split(":"), locale]
    for name in asked:
        language = name.split(".")[0].split("_")[0].lower()
        if language in TERMINAL_LANGUAGES:
            return language
    return "en"


def set_terminal_language(language: str) -> None:
    """Set the language for `gettext` and for child processes."""
    os.environ["LANGUAGE"] = language


def use_settings() -> None:
    """Set DJANGO_SETTINGS_MODULE to Mekiki's settings, unless it is set already."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mekiki.config.settings")


def allows_colour() -> bool:
    """Return whether output to a terminal may have colours.

    NO_COLOR (no-color.org) and a terminal without colours turn them off.
    """
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def visible_gpu() -> bool:
    """Return whether the encoders will run on CUDA.

    The result follows from MEKIKI_DEVICE and the files of the driver, without torch. CUDA_VISIBLE_DEVICES is
    a variable of NVIDIA: an empty value or -1 hides all devices.
    """
    device = text("MEKIKI_DEVICE")
    if device != "auto":
        return device.startswith("cuda")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in {"", "-1", "none", "NoDevFiles"}
    return not hidden and Path("/dev/nvidiactl").exists()
