"""mekiki replay FOLDER: measure what labelling this folder would have cost."""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mekiki.datasets.importing.entries import Folder
from mekiki.datasets.models import ImportBatch
from mekiki.simulation.layout import Layout, images_in_two_labels, read_layout
from mekiki.simulation.truth import TruthError, read_prompts

# Exit status if the folder or the prompts file cannot be used.
UNUSABLE = 2


class Command(BaseCommand):
    """Replay a folder on a separate platform in a temporary home, so that no existing data is changed."""

    help = (
        "Run the whole loop on a folder of folders, with the folder names as the hidden truth and a "
        "simulated reviewer, and print the learning curve."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "folder", type=Path, help="one sub-folder of images for each label, also inside train/ and test/"
        )
        parser.add_argument("--prompts", type=Path, help="JSON file: folder name → list of prompts")
        parser.add_argument("--budget", type=int, default=300, help="answers to give (default 300)")
        parser.add_argument("--batch", type=int, default=30, help="answers between retrainings (default 30)")
        parser.add_argument("--seed", type=int, default=0, help="seed of every random choice (default 0)")
        parser.add_argument("--encoder", default="pocket", help="the encoder (default pocket)")
        parser.add_argument(
            "--detail", choices=("on", "off"), help="local detail (default: that of a new dataset)"
        )
        parser.add_argument(
            "--certify", default="", metavar="ALPHA,DELTA", help="run a certificate after the answers"
        )
        parser.add_argument("--json", type=Path, help="write the figures here")
        parser.add_argument(
            "--home", type=Path, help="keep the platform's data here instead of a temporary folder"
        )
        parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        folder = options["folder"].expanduser().resolve()
        if options["budget"] < 1 or options["batch"] < 1:
            raise CommandError("--budget and --batch must be at least 1.")
        wanted = _certificate_bounds(options["certify"])
        try:
            layout = read_layout(folder)
            prompts = read_prompts(options["prompts"], layout.labels)
            if options["inside"]:
                self._run_child(folder, layout, prompts, options, wanted)
        except TruthError as error:
            raise CommandError(str(error), returncode=UNUSABLE) from None
        if not options["inside"]:
            for remark in layout.remarks:
                self.stdout.write(remark)
            self.stdout.flush()
            self._run_parent(folder, options)

    def _run_parent(self, folder: Path, options: dict[str, Any]) -> None:
        """Start a platform without a web server and run the loop in a child process that knows its URLs."""
        from mekiki.embedded.supervisor import Platform

        arguments = [sys.executable, "-m", "mekiki", "replay", str(folder), "--inside"]
        for name in ("prompts", "json"):
            if options[name] is not None:
                arguments += [f"--{name}", str(options[name].expanduser().resolve())]
        given = [name for name in ("certify", "detail") if options[name]]
        for name in ("budget", "batch", "seed", "encoder", *given):
            arguments += [f"--{name}", str(options[name])]
        with tempfile.TemporaryDirectory(prefix="mekiki-replay-") as temporary:
            home = (options["home"] or Path(temporary) / "home").expanduser().resolve()
            # Do not use the servers of another platform on this machine.
            own = {"DATABASE_URL": "", "BROKER_URL": ""}
            with Platform(home, web=False, quiet=True, env=own) as platform:
                code = subprocess.run(arguments, env=platform.env).returncode
                if options["home"] is None:
                    platform.discard()
        if code:
            sys.exit(code)

    def _run_child(
        self,
        folder: Path,
        layout: Layout,
        prompts: dict[str, list[str]],
        options: dict[str, Any],
        wanted: tuple[float, float] | None,
    ) -> None:
        from mekiki.simulation import loop
        from mekiki.simulation.certifying import certify_pool
        from mekiki.simulation.clients import ServiceClient
        from mekiki.simulation.setting_up import create_simulated_dataset, create_users
        from mekiki.simulation.truth import Truth, extract_labels_from_names

        started = time.monotonic()
        people = create_users()
        dataset = create_simulated_dataset(
            name=Folder(folder).label,
            folder=folder,
            labels=[{"name": name, "prompts": texts} for name, texts in prompts.items()],
            batch=options["batch"],
            seed=options["seed"],
            encoder=options["encoder"],
            use_detail=None if options["detail"] is None else options["detail"] == "on",
            people=people,
            say=self.stdout.write,
        )
        for remark in images_in_two_labels(layout, ImportBatch.objects.filter(dataset=dataset).latest("pk")):
            self.stdout.write(remark)
        truth = Truth(dataset, extract_labels_from_names(dataset, layout.label_of))
        client = ServiceClient(dataset, people.reviewer)
        figures = loop.run(
            dataset=dataset,
            truth=truth,
            client=client,
            admin=people.admin,
            budget=options["budget"],
            batch=options["batch"],
            say=self.stdout.write,
            started=started,
        )
        self.stdout.write(
            f"{figures['images']} images, {figures['labels']} labels, {figures['answers']} answers in "
            f"{figures['seconds']:.0f} s. Predictions that agree with the hidden truth, over all images: "
            f"{figures['zero_shot_accuracy']:.1%} by prompts alone, {figures['final_accuracy']:.1%} after "
            f"the answers."
        )
        if wanted is not None:
            figures["certificate"] = certify_pool(
                dataset=dataset,
                truth=truth,
                client=client,
                admin=people.admin,
                alpha=wanted[0],
                delta=wanted[1],
                trained=figures["answers"],
                say=self.stdout.write,
            )
        if options["json"]:
            loop.write_json(options["json"], figures)
        if not figures["verified"]:
            raise CommandError("The label set did not verify.")


def _certificate_bounds(text: str) -> tuple[float, float] | None:
    """Return (α, δ) of “0.02,0.05”, or None for an empty text. Raises CommandError for another text."""
    if not text:
        return None
    try:
        alpha, delta = map(float, text.split(","))
    except ValueError:
        alpha = delta = -1.0
    if not (0 <= alpha <= 0.5 and 1e-6 <= delta <= 0.5):
        raise CommandError(
            "--certify needs two shares up to 0.5: the largest share of wrong labels and the risk, such as "
            "0.02,0.05."
        )
    return alpha, delta
