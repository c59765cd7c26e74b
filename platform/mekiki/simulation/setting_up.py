"""Set up a simulation: users, and a dataset with labels, images and first predictions."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from mekiki.accounts.models import Role, User
from mekiki.accounts.selectors import user_named
from mekiki.accounts.services import create_user, reset_password, set_role
from mekiki.datasets import services as datasets
from mekiki.datasets.models import Dataset, ImportBatch
from mekiki.datasets.report_text import report_text
from mekiki.labeling import services as labeling
from mekiki.labeling.services import LabelSpec
from mekiki.learning.selectors import champion
from mekiki.simulation.waiting import wait_for_jobs

# Maximum number of report lines to print for each outcome.
SHOWN_LINES = 20
# Maximum length of a dataset's name. The name of a folder may be longer.
NAME_LENGTH = 120


@dataclass(frozen=True)
class SimulatedUsers:
    """One user for each role, with their passwords. The passwords are stored nowhere else."""

    admin: User
    reviewer: User
    viewer: User
    passwords: dict[str, str]


def create_users() -> SimulatedUsers:
    """Create an admin, a reviewer and a viewer.

    Existing users get a new password, because the old one is not known.
    """
    users, passwords = {}, {}
    for name, is_admin in (("admin", True), ("reviewer", False), ("viewer", False)):
        passwords[name] = secrets.token_urlsafe(9)
        user = user_named(name)
        if user is None:
            user = create_user(name=name, password=passwords[name], is_admin=is_admin)
        else:
            reset_password(user=user, password=passwords[name], actor=None, must_change=False)
        users[name] = user
    return SimulatedUsers(users["admin"], users["reviewer"], users["viewer"], passwords)


def create_simulated_dataset(
    *,
    name: str,
    folder: Path,
    labels: list[LabelSpec],
    batch: int,
    seed: int,
    people: SimulatedUsers,
    say: Callable[[str], None],
    encoder: str = "pocket",
    description: str = "",
    use_detail: bool | None = None,
) -> Dataset:
    """Create a dataset from `folder`, with zero-shot predictions and a filled queue.

    use_detail: whether heads use the local detail; None is the default of a dataset.

    Raises CommandError with the error of the job if importing, encoding or predicting failed.
    """
    own: dict[str, Any] = {} if use_detail is None else {"use_detail": use_detail}
    dataset = datasets.create_dataset(
        name=name[:NAME_LENGTH],
        user=people.admin,
        description=description,
        encoder_name=encoder,
        seed=f"{seed:016x}",
        queue_target=max(batch, 20),
        # The loop starts each training itself, after a fixed number of answers.
        retrain_every=0,
        **own,
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
