"""Every environment variable Mekiki reads: its name, default and meaning, in one table.

docs/reference/environment.md is compared with this table by a test. Nothing else in the project
reads os.environ for configuration.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from mekiki.config import env_checks as checks

# memory:// is for tests.
BROKER_SCHEMES = ("redis", "rediss", "redis+socket", "sentinel", "memory")


@dataclass(frozen=True)
class Variable:
    """One environment variable. `default` is the text used when it is unset."""

    name: str
    default: str
    meaning: str
    check: checks.Check = checks.plain

    @property
    def is_secret(self) -> bool:
        """Whether the value may hold a password or key, so that no message repeats it."""
        return self.name.endswith(("_KEY", "_PASSWORD", "_PASSPHRASE", "_URL"))


VARIABLES: dict[str, Variable] = {
    v.name: v
    for v in (
        Variable(
            "MEKIKI_HOME",
            "./var",
            "Folder of a one-machine install: database, files, keys, logs.",
            checks.path,
        ),
        Variable("MEKIKI_HOST", "127.0.0.1", "Address the web server listens on.", checks.host),
        Variable("MEKIKI_PORT", "8000", "Port the web server listens on.", checks.whole_number(0, 65535)),
        Variable(
            "MEKIKI_ALLOWED_HOSTS",
            "127.0.0.1,localhost,[::1]",
            "Host names the site answers to.",
            checks.listed(checks.host, "host names"),
        ),
        Variable(
            "MEKIKI_TRUSTED_ORIGINS",
            "",
            "Origins (https://…) trusted for forms behind a proxy.",
            checks.listed(checks.origin, "origins such as https://mekiki.example.com"),
        ),
        Variable(
            "MEKIKI_HTTPS",
            "0",
            "1 behind a TLS proxy: secure cookies, HSTS, X-Forwarded-Proto and -For of trusted proxies believed.",
            checks.flag,
        ),
        Variable(
            "MEKIKI_TRUSTED_PROXIES",
            "",
            "Addresses or networks of the proxies before the site, e.g. 10.0.0.5,172.30.0.0/24; empty: this machine, with MEKIKI_HTTPS=1.",
            checks.listed(checks.network, "IP addresses or networks such as 10.0.0.0/24"),
        ),
        Variable(
            "MEKIKI_SECURITY_CONTACT",
            "",
            "Where to report a security problem: mailto:… or https://…, shown in /.well-known/security.txt; empty: no such file.",
            checks.listed(
                checks.contact,
                "addresses such as mailto:security@example.com or https://example.com/security",
            ),
        ),
        Variable("MEKIKI_DEBUG", "0", "1 shows Django's debug pages. Never in production.", checks.flag),
        Variable(
            "MEKIKI_SECRET_KEY", "", "Secret of the site; empty: made once and kept in MEKIKI_HOME/keys."
        ),
        Variable(
            "MEKIKI_SIGNING_KEY_FILE",
            "",
            "File of the private signing key, read by workers only; empty: MEKIKI_HOME/keys/signing.pem.",
            checks.path,
        ),
        Variable(
            "MEKIKI_SIGNING_PASSPHRASE",
            "",
            "Passphrase of the private signing key, for workers only; empty: the file is not encrypted.",
        ),
        Variable(
            "DATABASE_URL",
            "",
            "postgresql://… replaces the embedded PostgreSQL.",
            checks.url("postgresql", "postgres", example="postgresql://user:password@host:5432/name"),
        ),
        Variable(
            "DATABASE_OWNER_URL",
            "",
            "The same database for the role that owns its tables: only `mekiki up`, backup and restore use it.",
            checks.url("postgresql", "postgres", example="postgresql://owner:password@host:5432/name"),
        ),
        Variable(
            "DATABASE_REPORT_ROLE",
            "mekiki_report",
            "Name of a role that may only read; where it exists, `mekiki up` grants it that.",
            checks.role_name,
        ),
        Variable(
            "BROKER_URL",
            "",
            "redis://… or redis+socket://… replaces the embedded Valkey.",
            checks.url(*BROKER_SCHEMES, example="redis://host:6379/0"),
        ),
        Variable("MEKIKI_WEB_WORKERS", "2", "Number of web worker processes.", checks.whole_number(1, 256)),
        Variable(
            "MEKIKI_WORKER_CONCURRENCY",
            "2",
            "Processes of the Celery worker (1 and solo on a GPU).",
            checks.whole_number(1, 256),
        ),
        Variable("MEKIKI_DEVICE", "auto", "Device of the encoders: auto, cpu, cuda, cuda:1 …", checks.device),
        Variable(
            "MEKIKI_MODEL_FOLDERS",
            "",
            "Folders, comma-separated, whose model folders may be chosen as `local-dir:` in the browser, beside MEKIKI_HOME/models.",
            checks.listed(checks.path, "paths"),
        ),
        Variable(
            "MEKIKI_ENCODER_SOURCES",
            "registry,hub",
            "Where encoders chosen in the browser may be downloaded from: registry (open_clip's list), hub (any hf-hub: model), none.",
            checks.listed(checks.one_of("registry", "hub", "none"), "registry, hub or none"),
        ),
        Variable(
            "MEKIKI_LANGUAGE",
            "en",
            "Language of the pages where neither the user nor the browser has chosen one: en or ja.",
            checks.one_of("en", "ja"),
        ),
        Variable(
            "MEKIKI_TIME_ZONE",
            "",
            "Time zone of pages and schedules, e.g. Asia/Tokyo; empty: the one under Site settings.",
            checks.time_zone,
        ),
        Variable(
            "MEKIKI_MAX_PIXELS",
            "100000000",
            "Images with more pixels are refused.",
            checks.whole_number(1, 10_000_000_000),
        ),
        Variable(
            "MEKIKI_DECODE_MEMORY_MB",
            "1024",
            "Memory that each process may use to decode images; an image that needs more is refused.",
            checks.whole_number(128, 1_000_000),
        ),
        Variable(
            "MEKIKI_MAX_FILE_MB",
            "100",
            "A single image file larger than this is refused.",
            checks.whole_number(1, 1_000_000),
        ),
        Variable(
            "MEKIKI_MAX_ARCHIVE_MB",
            "4096",
            "A zip that is larger, packed or unpacked, is refused.",
            checks.whole_number(1, 100_000_000),
        ),
        Variable(
            "MEKIKI_MAX_ARCHIVE_FILES",
            "200000",
            "A zip with more entries is refused.",
            checks.whole_number(1, 100_000_000),
        ),
        Variable(
            "MEKIKI_RESERVE_MB",
            "1024",
            "Imports, trainings and label sets wait while less than this is free on the disk of the home, its files or its database.",
            checks.whole_number(1, 100_000_000),
        ),
        Variable(
            "MEKIKI_INDEX_MEMORY_MB",
            "2048",
            "Most memory PostgreSQL may take while it builds a search index.",
            checks.whole_number(1, 2_000_000),
        ),
        Variable(
            "MEKIKI_LEASE_SECONDS",
            "120",
            "How long a reviewer holds an item without a sign of life.",
            checks.whole_number(1, 86_400),
        ),
        Variable(
            "MEKIKI_MAIL_URL",
            "",
            "Server that sends mail (links for lost passwords): smtps://… or smtp+starttls://user:password@host:587; smtp:// does not encrypt.",
            checks.url("smtp", "smtps", "smtp+starttls", example="smtp+starttls://user:password@host:587"),
        ),
        Variable("MEKIKI_MAIL_FROM", "", "Sender of mails, such as mekiki@example.com.", checks.mail_address),
        Variable(
            "MEKIKI_PUBLIC_URL",
            "",
            "Address of the site in mails, such as https://mekiki.example.com; without it none are sent.",
            checks.origin,
        ),
        Variable(
            "MEKIKI_PASSWORD_LENGTH",
            "12",
            "Fewest characters of a new password.",
            checks.whole_number(8, 64),
        ),
        Variable(
            "MEKIKI_SESSION_IDLE_MINUTES",
            "120",
            "A session that nobody uses for so many minutes ends.",
            checks.whole_number(2, 43_200),
        ),
        Variable(
            "MEKIKI_SESSION_HOURS",
            "168",
            "A session ends so many hours after the login, used or not.",
            checks.whole_number(1, 8_760),
        ),
        Variable(
            "MEKIKI_ADMIN_NAME",
            "",
            "Name of the first admin, made by `mekiki up` on an empty install.",
            checks.user_name,
        ),
        Variable(
            "MEKIKI_ADMIN_PASSWORD", "", "Password of the first admin; empty: asked for, or made and shown."
        ),
        Variable(
            "MEKIKI_LOG_LEVEL",
            "INFO",
            "DEBUG, INFO, WARNING or ERROR.",
            checks.one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        ),
    )
}


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
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
        raise SystemExit(2)


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
            "value is the same as none. Written from `platform/mekiki/config/env.py` by `make docs`; a test",
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
