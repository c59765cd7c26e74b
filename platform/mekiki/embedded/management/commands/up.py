"""`mekiki up`: runs the whole platform on this machine until Ctrl-C."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from mekiki.config import env
from mekiki.embedded.supervisor import Supervisor


class Command(BaseCommand):
    help = (
        "Run the platform on this machine: database, broker, web, worker and schedule, under one supervisor."
    )
    # The database does not run yet.
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options. Their defaults come from the environment."""
        parser.add_argument("--host", default=None, help="Address to listen on (MEKIKI_HOST).")
        parser.add_argument(
            "--port", type=int, default=None, help="Port to listen on, 0 for a free one (MEKIKI_PORT)."
        )
        parser.add_argument(
            "--no-web", action="store_true", help="Serve no pages: only the servers and the worker."
        )
        parser.add_argument("--no-worker", action="store_true", help="Start no worker: one runs elsewhere.")
        parser.add_argument(
            "--no-beat", action="store_true", help="Start no schedule and no sweeper: they run elsewhere."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the supervisor until it stops, and exit with its status if it failed."""
        status = Supervisor(
            home=settings.HOME,
            host=options["host"] or env.text("MEKIKI_HOST"),
            port=env.number("MEKIKI_PORT") if options["port"] is None else options["port"],
            web=not options["no_web"],
            worker=not options["no_worker"],
            beat=not options["no_beat"],
        ).run()
        if status:
            sys.exit(status)
