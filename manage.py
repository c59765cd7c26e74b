#!/usr/bin/env python3
"""Django's own commands, and those for developers: `manage.py COMMAND …` is `mekiki manage COMMAND …`."""

import sys
from pathlib import Path

# platform/ is a source root, like src/. It is appended, never a package: the standard library owns `platform`.
sys.path.insert(0, str(Path(__file__).resolve().parent / "platform"))

from mekiki.config.cli import manage

if __name__ == "__main__":
    sys.exit(manage(sys.argv[1:]))
