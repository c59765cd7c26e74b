"""No module imports itself through other modules, not even by an import inside a function."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Circles that are out of reach: the modules of a circle, and the reason.
EXCEPTIONS: dict[frozenset[str], str] = {}


def modules_of(*folders: Path) -> dict[str, Path]:
    """Return the modules below the source roots by their dotted names, without migrations."""
    modules = {}
    for folder in folders:
        for file in folder.rglob("*.py"):
            parts = file.relative_to(folder).with_suffix("").parts
            if "migrations" not in parts:
                modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return modules


def import_nodes(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports of a tree, without those that only a type checker sees."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for child in node.orelse:
            yield from import_nodes(child)
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from import_nodes(child)


def imports_of(name: str, file: Path, modules: dict[str, Path]) -> set[str]:
    """Return the modules among `modules` that a module imports."""
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    imported: set[str] = set()
    for node in import_nodes(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
            continue
        above = package[: len(package) - node.level + 1] if node.level else []
        source = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            full = f"{source}.{alias.name}"
            imported.add(full if full in modules else source)
    return (imported & set(modules)) - {name}


def circles(graph: dict[str, set[str]]) -> list[frozenset[str]]:
    """Return the sets of modules that import each other, directly or through others."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        open_ends = list(graph[start])
        while open_ends:
            module = open_ends.pop()
            if module not in seen:
                seen.add(module)
                open_ends += graph[module]
        reached[start] = seen
    return sorted(
        {
            frozenset({other for other in reached[module] if module in reached[other]})
            for module in graph
            if module in reached[module]
        },
        key=sorted,
    )


def graph_of(modules: dict[str, Path]) -> dict[str, set[str]]:
    return {name: imports_of(name, file, modules) for name, file in modules.items()}


def test_no_module_imports_itself_through_others() -> None:
    modules = modules_of(ROOT / "platform") | {
        f"workers.{name}".rstrip("."): file for name, file in modules_of(ROOT / "workers").items()
    }
    present = set(circles(graph_of(modules)))
    assert [sorted(circle) for circle in present - set(EXCEPTIONS)] == []
    assert set(EXCEPTIONS) <= present, "an exception is no longer needed"


def test_a_circle_is_found_in_functions_and_through_relative_imports(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    sources = {
        "__init__": "",
        "a": "from . import b",
        "b": "def f():\n    from shop.c import x",
        "c": "import shop.a",
        "d": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shop import e",
        "e": "import shop.d",
    }
    for name, source in sources.items():
        (package / f"{name}.py").write_text(source)
    graph = graph_of(modules_of(tmp_path))
    assert circles(graph) == [frozenset({"shop.a", "shop.b", "shop.c"})]
