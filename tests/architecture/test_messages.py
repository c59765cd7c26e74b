"""Every code that is raised or stored has its sentences, in both languages, with its values."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from mekiki.config.messages import Messages

ROOT = Path(__file__).resolve().parents[2]
MODULES = [
    *(f"mekiki.{app}.messages" for app in ("accounts", "audit", "datasets", "exports", "jobs", "labeling")),
    *("mekiki.learning.messages", "mekiki.review.messages", "mekiki.web.messages", "workers.messages"),
]
for _module in MODULES:
    importlib.import_module(_module)

# (folder, name of the function, position of the code) → the registry that must have the code
USES = {
    ("platform/mekiki/accounts", "notify_user", 1): "mails about accounts",
    ("platform/verification", "Finding", 0): "findings of an audit",
    ("platform/verification", "add", 0): "findings of an audit",
    ("platform/mekiki/datasets", "ReportLine", 0): "problems of files",
    ("platform/mekiki/datasets", "ProblemError", 0): "problems of files",
    ("platform/verification/label_set", "Problem", 0): "problems of label sets",
    ("platform/verification/label_set", "bad", 0): "problems of label sets",
    ("platform/verification", "DiscrepancyError", 0): "problems of label sets",
    ("platform/mekiki/web", "_problem", 0): "notices of the overview",
    ("workers", "NotRepeatableError", 0): "obstacles to repeating a training",
    ("workers/heads", "log", 0): "log of a training",
    ("workers/stages", "log", 0): "log of a training",
}
# Values that are no numbers.
SAMPLES: dict[str, Any] = {
    "now": "f" * 64,
    "then": "e" * 64,
    "reason": {"code": "first_head"},
    "error": "Something failed.",
    "why": "it does not exist",
}
# Values that only the conditions of sentences read.
CONDITIONS = (
    *("altered", "audited", "code_before", "code_now", "computed", "digest", "gap", "near", "needed"),
    *("promoted", "reembedded", "relabelled", "taken", "user"),
)


def registered() -> list[tuple[str, str]]:
    return [(name, code) for name, messages in Messages.all.items() for code in messages]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_code_is_rendered_with_its_values(language: str) -> None:
    assert len(registered()) > 300
    faults = []
    for name, code in registered():
        messages = Messages.all[name]
        for number in (0, 1, 2):
            values = {**dict.fromkeys([*messages.needs(code), *CONDITIONS], number), **SAMPLES}
            if name != "log of a training":
                values["reason"] = "state"
            with translation.override(language):
                text = messages.render(code, values)
            # The code itself is the text of stages, units and kinds of file.
            if not text or "%(" in text or text.startswith(f"{code} ("):
                faults.append(f"{name}: {code}: {text!r}")
            marked = any(
                re.search("[a-z]{3}", re.sub(r"%\(\w+\)\w", "", str(s.text))) for s in messages[code]
            )
            if marked and language == "ja" and not re.search(r"[぀-ヿ一-鿿]", text):
                faults.append(f"{name}: {code} is not Japanese: {text!r}")
    assert not faults, "\n".join(faults)


def calls(folder: str, function: str, position: int) -> Iterator[tuple[str, str]]:
    """Yield (place, code) of each call whose code is a text, or one of two texts."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or len(node.args) <= position:
                continue
            if function == getattr(node.func, "id", getattr(node.func, "attr", "")):
                code = node.args[position]
                for option in (code.body, code.orelse) if isinstance(code, ast.IfExp) else (code,):
                    if isinstance(option, ast.Constant) and isinstance(option.value, str):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", option.value


@pytest.mark.parametrize(("folder", "function", "position"), USES)
def test_every_code_that_is_used_is_registered(folder: str, function: str, position: int) -> None:
    messages = Messages.all[USES[folder, function, position]]
    used = list(calls(folder, function, position))
    assert used, f"nothing calls {function} with a code"
    unknown = [f"{place}: {code}" for place, code in used if code not in messages]
    assert not unknown, "\n".join(unknown)


def test_every_reason_of_a_promotion_is_registered() -> None:
    """The reasons are dicts: {"code": …}. The code of a run without a new head is raised."""
    codes = {code for _place, code in calls("workers/stages", "NothingToTrain", 0)}
    assert len(codes) == 6
    for folder in ("platform/mekiki/learning", "workers"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                for key, value in zip(getattr(node, "keys", []), getattr(node, "values", [])):
                    if getattr(key, "value", "") == "code" and isinstance(value, ast.Constant):
                        codes.add(value.value)
    assert len(codes) > 5 and codes <= set(Messages.all["reasons of a promotion"])


def test_every_code_is_used() -> None:
    """Each registered code is a text of the code outside the registries, so nothing is left over."""
    texts: set[str] = set()
    for folder in ("platform", "workers"):
        for path in (ROOT / folder).rglob("*.py"):
            if "messages" not in path.relative_to(ROOT).as_posix().split("mekiki/")[-1]:
                tree = ast.parse(path.read_text("utf-8"))
                texts |= {
                    n.value
                    for n in ast.walk(tree)
                    if isinstance(n, ast.Constant) and isinstance(n.value, str)
                }
    # The events have a test of their own, the texts of the station are used by its scripts.
    exempt = {
        "events",
        "acts of jobs",
        "texts of the station",
        "texts of the grid review",
        "texts of a study's station",
        "texts of the panel Why",
        "texts of the page of the keys",
    }
    unused = [f"{name}: {code}" for name, code in registered() if name not in exempt and code not in texts]
    assert not unused, "\n".join(unused)
