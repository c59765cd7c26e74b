"""The entry point of `python -m verification.label_set`."""

import sys

from verification.label_set.verify import main

sys.exit(main(sys.argv[1:]))
