"""mekiki demo: run the whole loop on sample pictures, then keep the site running on this machine."""

import argparse
import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

SAMPLE_NAME = "Sample: machined parts"


class Command(BaseCommand):
    """A parent process that runs the platform, and a child process that plays the users."""

    help = (
        "Create the sample dataset, let a simulated reviewer answer over HTTP, freeze and verify a label set."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--no-serve", action="store_true", help="stop everything at the end")
        parser.add_argument("--json", type=Path, help="write the figures here")
        parser.add_argument("--budget", type=int, default=300, help="answers to give (default 300)")
        parser.add_argument("--batch", type=int, default=50, help="answers between retrainings (default 50)")
        parser.add_argument("--images", type=int, default=2400, help="sample pictures to draw (default 2400)")
        parser.add_argument("--seed", type=int, default=0, help="seed of every random choice (default 0)")
        parser.add_argument("--port", type=int, help="port of the site (default MEKIKI_PORT, 8000)")
        parser.add_argument("--inside", metavar="URL", help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["inside"]:
            self._inside(options)
        else:
            self._outside(options)

    def _outside(self, options: dict[str, Any]) -> None:
        from mekiki.config import env
        from mekiki.embedded.supervisor import Platform

        home = Path(settings.HOME)
        port = env.number("MEKIKI_PORT") if options["port"] is None else options["port"]
        with Platform(home, host=env.text("MEKIKI_HOST"), port=port) as platform:
            arguments = [sys.executable, "-m", "mekiki", "demo", "--inside", platform.url]
            for name in ("budget", "batch", "images", "seed"):
                arguments += [f"--{name}", str(options[name])]
            if options["json"]:
                arguments += ["--json", str(options["json"].expanduser().resolve())]
            code = subprocess.run(arguments, env=platform.env).returncode
            if code == 0 and not options["no_serve"]:
                self.stdout.write(
                    "\nThe site goes on running. Ctrl-C stops it; `make run` with the same MEKIKI_HOME "
                    "starts it again."
                )
                with contextlib.suppress(KeyboardInterrupt):
                    platform.wait()
        if code:
            sys.exit(code)

    def _inside(self, options: dict[str, Any]) -> None:
        from mekiki.labeling.services import LabelSpec
        from mekiki.simulation import loop
        from mekiki.simulation.clients import HttpClient
        from mekiki.simulation.setting_up import make_people, make_simulated_dataset
        from mekiki.simulation.truth import Truth, read_table

        started = time.monotonic()
        url = options["inside"].rstrip("/")
        sample = Path(settings.HOME) / "sample" / f"{options['images']}-{options['seed']}"
        described_in = sample / "labels.json"  # written last, so it shows that the sample is complete
        if not described_in.exists():
            self.stdout.write(f"Drawing {options['images']} sample pictures …")
            subprocess.run(
                [
                    *(sys.executable, "-m", "workers.pocket.sample", str(sample)),
                    *("--count", str(options["images"]), "--seed", str(options["seed"])),
                ],
                check=True,
            )
        described = json.loads(described_in.read_text(encoding="utf-8"))
        people = make_people()
        dataset = make_simulated_dataset(
            name=SAMPLE_NAME,
            description=(
                "Drawn by Mekiki's own picture maker under capture conditions the bundled encoder never saw."
            ),
            folder=sample / "pictures",
            labels=[
                LabelSpec(
                    name=name,
                    prompts=fields["prompts"],
                    critical=fields["critical"],
                    guideline=fields["guideline"],
                )
                for name, fields in described.items()
            ],
            batch=options["batch"],
            seed=options["seed"],
            people=people,
            say=self.stdout.write,
        )
        figures = loop.run(
            dataset=dataset,
            truth=Truth(dataset, read_table(sample / "truth.csv")),
            client=HttpClient(url, dataset.slug, "reviewer", people.passwords["reviewer"]),
            admin=people.admin,
            budget=options["budget"],
            batch=options["batch"],
            say=self.stdout.write,
            started=started,
        )
        if options["json"]:
            loop.write_json(options["json"], figures)
        gain = figures["final_accuracy"] - figures["zero_shot_accuracy"]
        self.stdout.write(
            f"\n{figures['answers']} answers took the predictions that agree with the hidden truth, over all "
            f"images, from "
            f"{figures['zero_shot_accuracy']:.1%} to {figures['final_accuracy']:.1%} (+{100 * gain:.1f} "
            f"points) in "
            f"{figures['seconds']:.0f} s.\n"
            f"\n  {url}\n"
        )
        for name in ("admin", "reviewer", "viewer"):
            self.stdout.write(f"  log in as  {name:<9} password  {people.passwords[name]}")
        self.stdout.write(
            f"\nTry first:  {url}/d/{dataset.slug}/          the loop as one picture\n"
            f"            {url}/d/{dataset.slug}/review/   answer by keyboard: Enter confirms, 1–8 correct\n"
            f"            {url}/d/{dataset.slug}/exports/  the label set that was just frozen\n"
        )
        if not figures["verified"]:
            sys.exit(1)
