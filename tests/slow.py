"""Which tests `make check` leaves out: the tests that took long, by the times of a complete run.

    python -m pytest -n 2 -m "not e2e" --junitxml=times.xml && python -m tests.slow times.xml

writes tests/slow_tests.txt again. A test that is not in the file counts as fast.
"""

import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

SECONDS = 1.0  # of all cases of a test together, with their setup
LIST = Path(__file__).with_name("slow_tests.txt")


def names_of_slow_tests() -> set[str]:
    """Return the node ids, without parameters, of the tests that are listed as slow."""
    return set(LIST.read_text("utf-8").split())


def slow_tests(report: Path) -> list[str]:
    """Return the node ids, without parameters, of the tests of a JUnit report that took SECONDS or longer."""
    seconds: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(report).iter("testcase"):
        *folders, last = case.get("classname", "").split(".")
        parts = [*folders, last]
        depth = next((n for n, part in enumerate(parts) if part.startswith("test_")), len(parts) - 1)
        file = "/".join(parts[: depth + 1]) + ".py"
        name = case.get("name", "").partition("[")[0]
        seconds["::".join([file, *parts[depth + 1 :], name])] += float(case.get("time", 0))
    return sorted(name for name, total in seconds.items() if total >= SECONDS)


if __name__ == "__main__":
    LIST.write_text("\n".join(slow_tests(Path(sys.argv[1]))) + "\n", "utf-8")
