"""What the process imports from which worker processes are copied (tests/workers/forked.py)."""

import django

django.setup()

from workers.encoders.importing import import_open_clip  # noqa: E402

import_open_clip()

from tests.workers import dying, forked  # noqa: E402, F401
from workers import runner  # noqa: E402, F401
from workers.stages import encode, import_images  # noqa: E402, F401
