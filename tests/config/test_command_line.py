"""The command line as a user sees it: real processes, started in an empty folder."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest

from mekiki.config import env
from mekiki.config.cli.app import app
from mekiki.config.cli.bodies import APP_OF_COMMAND, load_command
from mekiki.embedded import endpoints
from mekiki.embedded.lock import HomeLock

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = sorted(app.commands)


def run_mekiki(
    *arguments: str | Path, cwd: Path, program: tuple[str, ...] = ("-m", "mekiki"), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in `cwd` as a new shell would, without the home and the servers of the test session."""
    own = {"HOME", "PATH", "TMPDIR"}
    environment = {name: value for name, value in os.environ.items() if name in own}
    environment |= {"PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}", "LANG": "C.UTF-8", **variables}
    command = [sys.executable, *program, *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
    )


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# Runs many commands in one process, each as `mekiki` would run it. Starting Python is the slow part.
MANY = """
import contextlib, io, json, sys
from mekiki.config.cli import run
answers = []
for arguments in json.loads(sys.argv[1]):
    captured = io.StringIO()
    with contextlib.redirect_stdout(captured), contextlib.redirect_stderr(captured):
        status = run(arguments)
    answers.append([status, captured.getvalue()])
print(json.dumps(answers))
"""


def run_commands(commands: list[list[str]], cwd: Path, **variables: str) -> list[tuple[int, str]]:
    """Return (exit status, output) of each command."""
    process = run_mekiki(json.dumps(commands), cwd=cwd, program=("-c", MANY), **variables)
    assert process.returncode == 0, process.stderr
    return [(status, output) for status, output in json.loads(process.stdout)]


@pytest.mark.parametrize("arguments", [["--help"], ["nonsense"], ["verify", "missing.zip"]], ids=" ".join)
def test_commands_without_a_home_create_no_home(arguments: list[str], tmp_path: Path) -> None:
    process = run_mekiki(*arguments, cwd=tmp_path)
    assert "Traceback" not in process.stderr
    assert files_in(tmp_path) == []


def test_help_and_refused_commands_create_no_home(tmp_path: Path) -> None:
    commands = [
        [],
        ["--version"],
        *([name, "--help"] for name in COMMANDS),
        ["up", "--nonsense"],
        ["status"],
        ["import", "parts", "."],
        ["retrain", "parts"],
        ["replay", "."],
        ["manage", "help"],
        ["manage", "check"],
    ]
    answers = dict(zip(map(" ".join, commands), run_commands(commands, tmp_path), strict=True))
    assert files_in(tmp_path) == []
    assert all(output for _status, output in answers.values())
    helps = [status for name, (status, _output) in answers.items() if name.endswith("--help")]
    assert set(helps) == {0}


def test_verify_and_manage_py_create_no_home(tmp_path: Path) -> None:
    not_a_set = tmp_path / "set.zip"
    not_a_set.write_bytes(b"no zip")
    assert run_mekiki("verify", not_a_set, cwd=tmp_path).returncode == 1
    process = run_mekiki("check", cwd=tmp_path, program=(str(ROOT / "manage.py"),))
    assert process.returncode == 0, process.stderr
    assert files_in(tmp_path) == ["set.zip"]


def test_secret_is_created_once_at_first_use(tmp_path: Path) -> None:
    program = (
        "import django; from django.conf import settings; django.setup(); "
        "from django.core import signing; print(signing.dumps(1, salt='s'), str(settings.SECRET_KEY))"
    )
    variables = {"DJANGO_SETTINGS_MODULE": "mekiki.config.settings", "MEKIKI_HOME": str(tmp_path / "home")}
    first = run_mekiki(cwd=tmp_path, program=("-c", program), **variables)
    second = run_mekiki(cwd=tmp_path, program=("-c", program), **variables)
    assert first.returncode == 0, first.stderr
    key = (tmp_path / "home" / "keys" / "secret_key").read_text()
    assert len(key) > 40
    assert first.stdout.split()[-1] == second.stdout.split()[-1] == key


def test_help_lists_our_commands_on_one_screen(tmp_path: Path) -> None:
    process = run_mekiki("--help", cwd=tmp_path)
    assert process.returncode == 0
    assert len(process.stdout.splitlines()) <= 48
    assert all(f" {name} " in process.stdout for name in COMMANDS)
    assert "makemigrations" not in process.stdout
    assert "\x1b" not in process.stdout
    assert "makemigrations" in run_mekiki("manage", "help", cwd=tmp_path).stdout


def test_help_loads_neither_django_nor_the_web(tmp_path: Path) -> None:
    program = (
        "import sys; from mekiki.config.cli import run; run(['--help']); "
        "print(sorted({'django', 'celery', 'psycopg', 'numpy', 'torch'} & set(sys.modules)), file=sys.stderr)"
    )
    process = run_mekiki(cwd=tmp_path, program=("-c", program))
    assert process.stderr.strip() == "[]"


def test_web_process_does_not_load_the_command_line(tmp_path: Path) -> None:
    program = (
        "import sys, mekiki.config.wsgi; from django.urls import get_resolver; get_resolver().url_patterns; "
        "print(sorted({'rich', 'rich_click', 'mekiki.config.cli'} & set(sys.modules)))"
    )
    process = run_mekiki(cwd=tmp_path, program=("-c", program), MEKIKI_HOME=str(tmp_path / "home"))
    assert process.stdout.strip() == "[]", process.stderr


@pytest.mark.parametrize("encoding", ["ascii", "euc_jp"])
def test_characters_missing_in_the_terminal_encoding_are_escaped(encoding: str, tmp_path: Path) -> None:
    for arguments in (["--help"], ["verify", "傷.tar"]):
        process = run_mekiki(*arguments, cwd=tmp_path, PYTHONIOENCODING=encoding, LANG="C.UTF-8")
        assert "Traceback" not in process.stderr, process.stderr
        assert process.returncode == (0 if arguments == ["--help"] else 2)


def test_call_without_arguments_shows_the_first_steps(tmp_path: Path) -> None:
    process = run_mekiki(cwd=tmp_path)
    assert process.returncode == 0
    assert "mekiki up" in process.stdout
    assert "mekiki demo" in process.stdout
    assert str(tmp_path / "var") in process.stdout


MISTAKES = (
    (["imprt"], 2, "import"),
    (["up", "--prot", "1"], 2, "--port"),
    (["up", "--port", "eighty"], 2, "--port"),
    (["up", "--port", "70000"], 2, "65535"),
    (["verify"], 2, "FILE"),
    (["verify", "missing.zip"], 2, "missing.zip"),
    (["verify", "."], 2, "folder"),
    (["verify", "pipe"], 2, "pipe"),
    (["verify", "pipe", "--key", "pipe"], 2, "--key"),
    (["import", "parts", "missing"], 2, "missing"),
    (["import", "parts", "."], 1, "mekiki up"),
    (["retrain", "parts"], 1, "mekiki up"),
    (["replay", "missing"], 2, "missing"),
    (["replay", ".", "--budget", "0"], 2, "--budget"),
    (["replay", ".", "--prompts", "pipe"], 2, "--prompts"),
    (["status"], 1, "mekiki up"),
    (["manage", "nonsense"], 1, "nonsense"),
)


def test_command_line_mistakes_give_a_message_and_an_exit_status(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    answers = run_commands([arguments for arguments, _status, _message in MISTAKES], tmp_path)
    for (arguments, status, message), (exit_status, output) in zip(MISTAKES, answers, strict=True):
        assert (arguments, exit_status) == (arguments, status), output
        assert message in output, arguments
        assert "Traceback" not in output, arguments


def test_unreachable_database_is_reported_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://mekiki:very-secret@127.0.0.1:9/mekiki"
    process = run_mekiki("retrain", "parts", cwd=tmp_path, DATABASE_URL=url)
    assert process.returncode == 1
    assert "DATABASE_URL" in process.stderr
    assert "very-secret" not in process.stderr


def test_invalid_variable_is_reported_on_one_line(tmp_path: Path) -> None:
    process = run_mekiki("up", cwd=tmp_path, MEKIKI_PORT="eighty")
    assert process.returncode == 2
    assert process.stderr.strip() == "MEKIKI_PORT must be a whole number, not 'eighty'."
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("variables", "japanese"),
    [
        ({"LANG": "ja_JP.UTF-8"}, True),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "ja_JP.UTF-8"}, True),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "de:ja:en"}, True),
        ({"LANG": "C.UTF-8", "MEKIKI_LANGUAGE": "ja"}, True),
        ({"LANG": "ja_JP.UTF-8", "MEKIKI_LANGUAGE": "en"}, False),
        ({"LANG": "de_DE.UTF-8"}, False),
    ],
    ids=str,
)
def test_output_is_in_the_language_of_the_terminal(
    variables: dict[str, str], japanese: bool, tmp_path: Path
) -> None:
    """The frame that click draws, our texts, and the errors of commands that load Django."""
    answers = run_commands([["--help"], ["verify"], ["retrain", "x"]], tmp_path, PYTHONUTF8="1", **variables)
    help_text, mistake, refusal = (output for _status, output in answers)
    assert ("使い方" in help_text, "Usage" in help_text) == (japanese, not japanese)
    assert ("コマンド" in help_text) is japanese
    assert ("引数" in mistake) is japanese
    assert ("動いていません" in refusal) is japanese


def test_colour_is_used_only_on_terminals_that_support_it(tmp_path: Path) -> None:
    def run_on_a_terminal(**variables: str) -> str:
        pid, handle = pty.fork()
        if pid == 0:
            os.chdir(tmp_path)
            environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"}
            environment |= {"PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}", **variables}
            os.execve(sys.executable, [sys.executable, "-m", "mekiki", "nonsense"], environment)
        output = b""
        try:
            while piece := os.read(handle, 4096):
                output += piece
        except OSError:
            pass
        os.waitpid(pid, 0)
        return output.decode()

    assert "\x1b[3" in run_on_a_terminal()
    assert "\x1b[3" not in run_on_a_terminal(NO_COLOR="1")
    assert "\x1b[3" not in run_on_a_terminal(TERM="dumb")


def test_verify_prints_json_for_scripts(tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_bytes(b"no zip")
    process = run_mekiki("verify", "set.zip", "--json", cwd=tmp_path)
    answer = json.loads(process.stdout)
    assert (process.returncode, answer["ok"]) == (1, False)
    assert answer["problems"][0]["code"]
    process = run_mekiki("verify", "gone.zip", "--json", cwd=tmp_path)
    assert (process.returncode, json.loads(process.stdout)["problems"][0]["code"]) == (2, "unreadable")


def test_status_prints_json_when_nothing_runs(tmp_path: Path) -> None:
    process = run_mekiki("status", "--json", cwd=tmp_path)
    answer = json.loads(process.stdout)
    assert (process.returncode, answer["running"], answer["home"]) == (1, False, str(tmp_path / "var"))


def test_status_of_a_platform_that_is_ending_is_not_running(tmp_path: Path) -> None:
    """ "The process has ended, but its lock was still held when the addresses were read."""
    home = tmp_path / "var"
    ended_process = subprocess.Popen(["true"])
    ended_process.wait()
    with HomeLock(home):
        endpoints.write(home, endpoints.Endpoints(pid=ended_process.pid))
        process = run_mekiki("status", "--json", cwd=tmp_path)
    assert process.stderr == ""
    assert (process.returncode, json.loads(process.stdout)["running"]) == (1, False)


@pytest.mark.parametrize("name", sorted(APP_OF_COMMAND))
def test_command_has_the_flags_of_its_django_command(name: str) -> None:
    """The Django command does the work, and other programs call it. Both must accept the same options."""
    parser = load_command(name).create_parser("mekiki", name)
    django_actions = {action.dest: action for action in parser._actions}
    options_of_django = {
        "help",
        "version",
        "verbosity",
        "settings",
        "pythonpath",
        "traceback",
        "no_color",
        "force_color",
    }
    options_of_django |= {"skip_checks"}
    command = app.commands[name.replace("_", "-")]
    click_options = {option.name: option for option in command.params}
    defaults = command.make_context(name, [], resilient_parsing=True).params
    assert set(click_options) == set(django_actions) - options_of_django
    for option, action in django_actions.items():
        if option in options_of_django:
            continue
        flags = set(click_options[option].opts) if isinstance(click_options[option], click.Option) else set()
        assert flags == set(action.option_strings)
        if flags:
            assert defaults[option] == action.default


def test_reference_lists_every_command() -> None:
    page = (ROOT / "docs" / "reference" / "commands.md").read_text()
    for name in COMMANDS:
        assert f"`mekiki {name}" in page


def test_language_of_the_terminal_does_not_change_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEKIKI_LANGUAGE", raising=False)
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "ja_JP.UTF-8")
    assert env.terminal_language() == "ja"
    assert env.text("MEKIKI_LANGUAGE") == "en"
