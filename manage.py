#!/usr/bin/env python3
"""Django's commands, and commands for developers: the same as `mekiki manage COMMAND …`."""

import sys
from pathlib import Path

# platform/ is a source root, like src/ in other projects. It is not a package, because the standard library
# has a module `platform`.
sys.path.insert(0, str(Path(__file__).resolve().parent / "platform"))

from mekiki.config.cli import manage

if __name__ == "__main__":
    sys.exit(manage(sys.argv[1:]))
