"""How long the slow tests took in a complete run.

    python -m pytest -n 3 --dist loadfile --junitxml=times.xml && python -m tests.slow times.xml

writes tests/slow_tests.txt again: the seconds and the node id of a test in each line. A test that is not in
the file counts as fast. `make check` leaves the slow tests out. `make test` starts the files with the most
seconds first, so that no process is left alone with a long file at the end.
"""

import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

SECONDS = 1.0  # of all cases of a test together, with their setup
LIST = Path(__file__).with_name("slow_tests.txt")


def seconds_of_slow_tests() -> dict[str, float]:
    """Return the seconds of the slow tests by node id without parameters."""
    rows = (line.split(maxsplit=1) for line in LIST.read_text("utf-8").splitlines())
    return {name: float(seconds) for seconds, name in rows}


def slow_tests(report: Path) -> list[tuple[str, float]]:
    """Return (node id, seconds) of the tests of a JUnit report that took SECONDS or longer.

    The node ids are without parameters.
    """
    seconds: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(report).iter("testcase"):
        *folders, last = case.get("classname", "").split(".")
        parts = [*folders, last]
        depth = next((n for n, part in enumerate(parts) if part.startswith("test_")), len(parts) - 1)
        file = "/".join(parts[: depth + 1]) + ".py"
        name = case.get("name", "").partition("[")[0]
        seconds["::".join([file, *parts[depth + 1 :], name])] += float(case.get("time", 0))
    return sorted((name, total) for name, total in seconds.items() if total >= SECONDS)


if __name__ == "__main__":
    lines = [f"{seconds:.1f} {name}\n" for name, seconds in slow_tests(Path(sys.argv[1]))]
    LIST.write_text("".join(lines), "utf-8")
