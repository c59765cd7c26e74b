"""Code gets the user of a request in one way: `user_of`, or `user_or_none` where nobody may be logged in."""

import ast
from pathlib import Path

MEKIKI = Path(__file__).parents[2] / "platform" / "mekiki"
HELPERS = MEKIKI / "accounts" / "http.py"


def reads_of_user(source: str) -> list[int]:
    """Return the lines that read the attribute `user` of a request."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and node.attr == "user"
        and (ast.unparse(node.value) == "request" or ast.unparse(node.value).endswith(".request"))
    ]


def test_only_the_helpers_read_the_user_of_a_request() -> None:
    reads = {
        f"{path.relative_to(MEKIKI)}:{line}"
        for path in MEKIKI.rglob("*.py")
        if path != HELPERS
        for line in reads_of_user(path.read_text())
    }
    assert not reads, f"use mekiki.accounts.http.user_of: {sorted(reads)}"


def test_the_rule_sees_what_it_forbids() -> None:
    assert reads_of_user("def view(request):\n    return list_of(request.user)\n") == [2]
    assert reads_of_user("class Form:\n    def __init__(self):\n        self.request.user.pk\n") == [3]
    assert not reads_of_user("request.session.user_id, membership.user")
