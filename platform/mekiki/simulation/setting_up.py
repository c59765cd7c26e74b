"""Making what a simulation needs: people, a dataset with labels and images, its first predictions."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.core.management.base import CommandError

from mekiki.accounts.models import Role, User
from mekiki.accounts.selectors import user_named
from mekiki.accounts.services import create_user, give_password, set_role
from mekiki.datasets import services as datasets
from mekiki.datasets.models import Dataset, ImportBatch
from mekiki.datasets.report_text import report_text
from mekiki.labeling import services as labeling
from mekiki.labeling.services import LabelSpec
from mekiki.learning.selectors import champion
from mekiki.simulation.waiting import wait_for_jobs

# Lines of the import's report to print, of each outcome.
SHOWN_LINES = 20
# Of a dataset; the name of a folder may be longer.
NAME_LENGTH = 120


@dataclass(frozen=True)
class People:
    """One user for each role, and their passwords (made here, kept nowhere else)."""

    admin: User
    reviewer: User
    viewer: User
    passwords: dict[str, str]


def make_people() -> People:
    """An admin, a reviewer and a viewer. Users that exist get a new password: the old one is not known."""
    users, passwords = {}, {}
    for name, is_admin in (("admin", True), ("reviewer", False), ("viewer", False)):
        passwords[name] = secrets.token_urlsafe(9)
        user = user_named(name)
        if user is None:
            user = create_user(name=name, password=passwords[name], is_admin=is_admin)
        else:
            give_password(user=user, password=passwords[name], actor=None, must_change=False)
        users[name] = user
    return People(users["admin"], users["reviewer"], users["viewer"], passwords)


def make_simulated_dataset(
    *,
    name: str,
    folder: Path,
    labels: list[LabelSpec],
    batch: int,
    seed: int,
    people: People,
    say: Callable[[str], None],
    encoder: str = "pocket",
    description: str = "",
) -> Dataset:
    """A dataset imported from `folder`, predicted by prompts, with its queue filled.

    CommandError with the job's own words when importing, encoding or predicting failed.
    """
    dataset = datasets.create_dataset(
        name=name[:NAME_LENGTH],
        user=people.admin,
        description=description,
        encoder_name=encoder,
        seed=f"{seed:016x}",
        queue_target=max(batch, 20),
        # The loop asks for each training itself, at fixed numbers of answers.
        retrain_every=0,
    )
    set_role(dataset=dataset, user=people.reviewer, role=Role.REVIEWER, actor=people.admin)
    set_role(dataset=dataset, user=people.viewer, role=Role.VIEWER, actor=people.admin)
    labeling.set_schema(dataset=dataset, labels=labels, user=people.admin)
    wait_for_jobs(dataset)
    datasets.import_folder(dataset=dataset, path=folder, user=people.admin)
    wait_for_jobs(dataset)
    imported = ImportBatch.objects.filter(dataset=dataset).latest("pk")
    say(
        f"{imported.added} images imported"
        + (f", {imported.duplicates} duplicates skipped" if imported.duplicates else "")
        + (f", {imported.rejected} files refused" if imported.rejected else "")
    )
    for line in report_text(imported, SHOWN_LINES):
        say(line)
    if champion(dataset) is None:
        raise CommandError("No prediction was made: no image of this folder could be read.")
    return dataset
