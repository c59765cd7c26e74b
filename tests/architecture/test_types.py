"""Parameters that name a thing of the platform have its type, not Any."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"actor", "dataset", "head", "image", "job", "label", "user"}


def untyped_parameters(source: str) -> list[str]:
    """Return "function(parameter)" for each parameter of NAMES whose annotation is Any or contains it."""
    return [
        f"{function.name}({argument.arg})"
        for function in ast.walk(ast.parse(source))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for argument in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
        if argument.arg in NAMES
        and argument.annotation is not None
        and any(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(argument.annotation))
    ]


def test_parameters_for_things_of_the_platform_have_types() -> None:
    untyped = {
        f"{path.relative_to(ROOT)}: {name}"
        for folder in ("platform/mekiki", "workers")
        for path in (ROOT / folder).rglob("*.py")
        for name in untyped_parameters(path.read_text())
    }
    assert not untyped, "use the model, or accounts.access.DatasetLike below datasets"


def test_a_parameter_without_a_type_is_found() -> None:
    source = "def rename(*, dataset: Any | None, user: list[Any], name: Any): ..."
    assert untyped_parameters(source) == ["rename(dataset)", "rename(user)"]
    assert not untyped_parameters("def rename(dataset: Dataset, user: 'User | None', head: AnyHead): ...")
