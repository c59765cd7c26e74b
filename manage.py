#!/usr/bin/env python3
"""The same as the console command `mekiki`, for a checkout that is not installed."""

import sys
from pathlib import Path

# platform/ is a source root, like src/. It is appended, never a package: the standard library owns `platform`.
sys.path.insert(0, str(Path(__file__).resolve().parent / "platform"))

from mekiki.config.cli import main

if __name__ == "__main__":
    main()
