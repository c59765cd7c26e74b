"""The command `mekiki sweeper`, which requeues stalled jobs and runs the other chores until stopped."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from mekiki.jobs import chores


class Command(BaseCommand):
    help = (
        "Return stalled jobs to the queue, end expired leases and request missing search indexes, "
        "every few seconds until stopped."
    )
    # The database may start later than the sweeper.
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGTERM or Ctrl-C."""
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_details: stopped.set())
        chores.run_until(stopped)
