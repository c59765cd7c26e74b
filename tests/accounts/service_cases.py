"""Calls of every service that checks a permission, each with a too low role (test_services_refuse)."""

import io
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mekiki.accounts import services as accounts
from mekiki.accounts import site
from mekiki.accounts.models import Role
from mekiki.accounts.second_factor import services as second_factor
from mekiki.accounts.sign_on import services as sign_on
from mekiki.audit import head_mail, stamping
from mekiki.datasets import services as datasets
from mekiki.datasets.models import ImportBatch, PixelWindow
from mekiki.exports import services as exports
from mekiki.exports.models import LabelSet
from mekiki.jobs import seals
from mekiki.jobs import services as jobs
from mekiki.labeling import services as labeling
from mekiki.learning import services as learning
from mekiki.learning.models import EncoderChange, TrainingRun
from mekiki.review import searching
from mekiki.review import services as review
from tests.accounts.refused_adjudication import ADJUDICATION
from tests.accounts.refused_certificates import CERTIFICATES
from tests.accounts.refused_images_and_labels import IMAGES_AND_LABELS
from tests.accounts.services_of_reviewers import OF_REVIEWERS
from tests.factories import ConfirmedLabelFactory, DatasetFactory, JobFactory, LabelFactory, UserFactory, png
from tests.quality.refused_services import STUDY_CASES
from tests.quality.study_setup import study_draft
from tests.review_setup import Station


class ServiceArguments:
    """A dataset with rows for every service, and users of every role."""

    def __init__(self) -> None:
        self.station = Station(items=2)
        self.dataset = self.station.dataset
        self.dataset.refresh_from_db()
        self.head, self.label = self.station.head, self.station.labels[0]
        self.root = UserFactory(is_superuser=True)
        self.admin, self.reviewer, self.viewer = (
            self.station.reviewer(role) for role in ("admin", "reviewer", "viewer")
        )
        self.stranger = UserFactory(may_create_datasets=False)
        self.other = self.station.reviewer()
        self.leased = self.station.next(self.other)[0]
        self.flag = self.station.answer(self.other, self.leased, "flag")
        self.confirmed = ConfirmedLabelFactory(image=self.station.item().image, label=self.label)
        self.archived = LabelFactory(dataset=self.dataset, archived_at=self.flag.created_at)
        self.window = PixelWindow.objects.create(dataset=self.dataset, sample="uint16", black=0, white=9)
        self.batch = ImportBatch.objects.create(dataset=self.dataset, source="upload", location="/nowhere")
        self.label_set = LabelSet.objects.create(dataset=self.dataset, version=1, created_by=self.admin)
        self.study = study_draft(self.dataset, self.admin, [self.reviewer, self.other])
        self.invitation = self.study.reviewers.all()[0]
        self.job = JobFactory(dataset=self.dataset)
        self.ended = JobFactory(dataset=self.dataset, state="failed")
        self.change = EncoderChange.objects.create(
            dataset=self.dataset, from_name="a", to_name="b", state=EncoderChange.State.READY
        )


Arguments = Callable[[ServiceArguments], dict[str, Any]]
Case = tuple[Callable[..., Any], str, Arguments]


def dataset_arguments(**more: Any) -> Arguments:
    return lambda w: {"dataset": w.dataset, **more}


def image_arguments(**more: Any) -> Arguments:
    return lambda w: {"dataset": w.dataset, "image_id": w.confirmed.image_id, **more}


def panel_arguments() -> Arguments:
    return dataset_arguments(panel_id=KEY)


def flag_arguments(**more: Any) -> Arguments:
    return lambda w: {"dataset": w.dataset, "decision_id": w.flag.pk, **more}


def answer_arguments(w: ServiceArguments) -> dict[str, Any]:
    ids = {"item_id": w.leased.item.pk, "lease_id": w.leased.lease.pk}
    return {"dataset": w.dataset, **ids, "kind": "skip", "client_key": uuid.uuid4()}


def file_arguments(w: ServiceArguments) -> dict[str, Any]:
    return {"batch": w.batch, "name": "a.png", "file": io.BytesIO(png())}


def window_arguments(w: ServiceArguments) -> dict[str, Any]:
    return {"window": w.window}


def change_arguments(w: ServiceArguments) -> dict[str, Any]:
    return {"change": w.change}


def batch_arguments(w: ServiceArguments) -> dict[str, Any]:
    return {"batch": w.batch}


def label_set_arguments(w: ServiceArguments) -> dict[str, Any]:
    return {"label_set": w.label_set}


def head_arguments(w: ServiceArguments) -> dict[str, Any]:
    return {"dataset": w.dataset, "head": w.head}


def user_arguments(**more: Any) -> Arguments:
    return lambda w: {"user": w.other, **more}


NEW_PASSWORD = "four words of another user"
KEY = uuid.UUID(int=7)

# For each service: the user of too low a role, and the other arguments.
CASES: dict[str, Case] = {
    **OF_REVIEWERS,
    "accounts/services.py:create_user": (
        accounts.create_user,
        "admin",
        lambda w: {"name": "new", "password": NEW_PASSWORD},
    ),
    "accounts/services.py:change_password": (
        accounts.change_password,
        "root",
        user_arguments(password=NEW_PASSWORD),
    ),
    "accounts/services.py:reset_password": (
        accounts.reset_password,
        "admin",
        user_arguments(password=NEW_PASSWORD),
    ),
    "accounts/services.py:set_admin": (accounts.set_admin, "admin", user_arguments(is_admin=True)),
    "accounts/services.py:set_active": (accounts.set_active, "admin", user_arguments(active=False)),
    "accounts/services.py:set_may_create_datasets": (
        accounts.set_may_create_datasets,
        "admin",
        user_arguments(allowed=True),
    ),
    "accounts/services.py:set_role": (
        accounts.set_role,
        "reviewer",
        lambda w: {"dataset": w.dataset, "user": w.other, "role": Role.ADMIN},
    ),
    "accounts/services.py:make_first_admin": (
        accounts.make_first_admin,
        "stranger",
        lambda w: {"dataset": DatasetFactory()},
    ),
    "accounts/services.py:remove_member": (
        accounts.remove_member,
        "reviewer",
        lambda w: {"dataset": w.dataset, "user": w.other},
    ),
    "accounts/services.py:set_email": (accounts.set_email, "admin", user_arguments(email="a@example.com")),
    "accounts/services.py:end_user_sessions_as_admin": (
        accounts.end_user_sessions_as_admin,
        "admin",
        user_arguments(),
    ),
    "accounts/second_factor/services.py:reset": (second_factor.reset, "admin", user_arguments()),
    "accounts/second_factor/services.py:set_required": (
        second_factor.set_required,
        "admin",
        lambda w: {"required": True},
    ),
    "accounts/sign_on/services.py:unlink_all": (sign_on.unlink_all, "admin", user_arguments(request=None)),
    "accounts/site.py:set_time_zone": (site.set_time_zone, "admin", lambda w: {"name": "Asia/Tokyo"}),
    "audit/head_mail.py:set_recipients": (
        head_mail.set_recipients,
        "admin",
        lambda w: {"addresses": ["a@example.com"]},
    ),
    "audit/head_mail.py:mail_head": (head_mail.mail_head, "admin", lambda w: {}),
    "audit/stamping.py:add_time_stamp": (stamping.add_time_stamp, "admin", lambda w: {"reply": b""}),
    "jobs/seals.py:request_seal": (seals.request_seal, "admin", lambda w: {}),
    "jobs/seals.py:request_check": (seals.request_check, "admin", lambda w: {}),
    "jobs/services/user_requests.py:cancel": (jobs.cancel, "reviewer", lambda w: {"job": w.job}),
    "jobs/services/user_requests.py:retry": (jobs.retry, "reviewer", lambda w: {"job": w.ended}),
    "datasets/services/datasets.py:create_dataset": (
        datasets.create_dataset,
        "stranger",
        lambda w: {"name": "New"},
    ),
    "datasets/services/datasets.py:change_address": (
        datasets.change_address,
        "reviewer",
        dataset_arguments(slug="elsewhere"),
    ),
    "datasets/services/datasets.py:update_settings": (
        datasets.update_settings,
        "reviewer",
        dataset_arguments(name="Other", retrain_every=7),
    ),
    "datasets/services/datasets.py:archive_dataset": (
        datasets.archive_dataset,
        "reviewer",
        dataset_arguments(),
    ),
    "datasets/services/imports.py:import_folder": (
        datasets.import_folder,
        "reviewer",
        dataset_arguments(path=Path(__file__).parent),
    ),
    "datasets/services/quotas.py:set_dataset_limits": (
        datasets.set_dataset_limits,
        "admin",
        dataset_arguments(max_images=1, max_bytes=None),
    ),
    "datasets/services/quotas.py:set_platform_limits": (
        datasets.set_platform_limits,
        "admin",
        lambda w: {"max_images": 1, "max_bytes": None},
    ),
    "datasets/services/uploads.py:start_upload": (datasets.start_upload, "reviewer", dataset_arguments()),
    "datasets/services/uploads.py:import_files": (
        datasets.import_files,
        "reviewer",
        dataset_arguments(files=[("a.png", io.BytesIO(b"x"), 1)]),
    ),
    "datasets/services/uploads.py:add_file": (datasets.add_file, "reviewer", file_arguments),
    "datasets/services/uploads.py:add_files": (
        datasets.add_files,
        "reviewer",
        lambda w: {"batch": w.batch, "part": 0, "files": []},
    ),
    "datasets/services/uploads.py:finish_upload": (datasets.finish_upload, "reviewer", batch_arguments),
    "datasets/services/uploads.py:discard_import": (datasets.discard_import, "reviewer", batch_arguments),
    "datasets/services/windows.py:change_window": (
        datasets.change_window,
        "reviewer",
        lambda w: {"window": w.window, "black": 1, "white": 2},
    ),
    "datasets/services/windows.py:estimate_window_again": (
        datasets.estimate_window_again,
        "reviewer",
        window_arguments,
    ),
    "datasets/services/windows.py:resume_window_change": (
        datasets.resume_window_change,
        "reviewer",
        window_arguments,
    ),
    "datasets/services/windows.py:rebuild_old_pictures": (
        datasets.rebuild_old_pictures,
        "reviewer",
        dataset_arguments(),
    ),
    "exports/services.py:freeze": (exports.freeze, "reviewer", dataset_arguments()),
    "exports/services.py:retry": (exports.retry, "reviewer", label_set_arguments),
    "exports/services.py:record_download": (exports.record_download, "stranger", label_set_arguments),
    "exports/services.py:check_download": (exports.check_download, "stranger", label_set_arguments),
    **STUDY_CASES,
    "labeling/services/labels.py:add_label": (labeling.add_label, "reviewer", dataset_arguments(name="new")),
    "labeling/services/labels.py:update_label": (
        labeling.update_label,
        "reviewer",
        lambda w: {"label": w.label, "critical": True},
    ),
    "labeling/services/labels.py:archive_label": (
        labeling.archive_label,
        "reviewer",
        lambda w: {"label": w.station.labels[2], "confirmed": True},
    ),
    "labeling/services/labels.py:restore_label": (
        labeling.restore_label,
        "reviewer",
        lambda w: {"label": w.archived},
    ),
    "labeling/services/prompts.py:save_prompts": (
        labeling.save_prompts,
        "reviewer",
        lambda w: {"dataset": w.dataset, "prompts": {x.pk: ["a prompt"] for x in w.station.labels}},
    ),
    "labeling/services/schema.py:set_schema": (
        labeling.set_schema,
        "reviewer",
        dataset_arguments(labels=[{"name": "only", "prompts": ["only"]}]),
    ),
    "learning/services/choosing.py:request_promotion": (
        learning.request_promotion,
        "reviewer",
        head_arguments,
    ),
    "learning/services/encoder_changes.py:request_change": (
        learning.request_change,
        "reviewer",
        dataset_arguments(name="pocket"),
    ),
    "learning/services/encoder_changes.py:request_switch": (
        learning.request_switch,
        "reviewer",
        change_arguments,
    ),
    "learning/services/encoder_changes.py:request_revert": (
        learning.request_revert,
        "reviewer",
        change_arguments,
    ),
    "learning/services/encoder_changes.py:cancel_change": (
        learning.cancel_change,
        "reviewer",
        change_arguments,
    ),
    "learning/services/encoder_upkeep.py:request_removal": (
        learning.request_removal,
        "reviewer",
        lambda w: {"dataset": w.dataset, "encoder": w.head.encoder},
    ),
    **{
        f"learning/services/near_duplicates.py:{name}": (getattr(learning, name), "reviewer", arguments)
        for name, arguments in (
            ("request_survey", dataset_arguments()),
            ("choose_threshold", dataset_arguments(threshold=0.9)),
            ("set_leave_out", dataset_arguments(leave_out=True)),
            ("stop_grouping", dataset_arguments()),
        )
    },
    "learning/services/repeating.py:request_verification": (
        learning.request_verification,
        "reviewer",
        head_arguments,
    ),
    "learning/services/training.py:request_training": (
        learning.request_training,
        "reviewer",
        dataset_arguments(trigger=TrainingRun.Trigger.BUTTON),
    ),
    "learning/services/training.py:set_retraining": (
        learning.set_retraining,
        "reviewer",
        dataset_arguments(cron="0 3 * * *", retrain_every=20),
    ),
    "learning/services/training.py:set_schedule": (
        learning.set_schedule,
        "reviewer",
        dataset_arguments(cron="0 3 * * *"),
    ),
    "review/searching.py:search": (
        searching.search,
        "stranger",
        dataset_arguments(head=None, asked={}, text="scratch"),
    ),
    "review/services/confirmed.py:retire_audit": (review.retire_audit, "reviewer", dataset_arguments()),
    "review/services/own_corrections.py:correct_own_answer": (
        review.correct_own_answer,
        "viewer",
        lambda w: {**flag_arguments(client_key=KEY)(w), "label_id": w.label.pk},
    ),
    "review/services/correcting.py:correct_label": (
        review.correct_label,
        "viewer",
        lambda w: {
            **image_arguments()(w),
            "label_id": w.station.labels[1].pk,
            "client_key": KEY,
            "head_version": None,
        },
    ),
    "review/services/correcting.py:take_back_correction": (
        review.take_back_correction,
        "viewer",
        image_arguments(),
    ),
    "review/services/correcting.py:request_recheck": (review.request_recheck, "viewer", image_arguments()),
    "review/services/decisions.py:answer": (review.answer, "viewer", answer_arguments),
    "review/services/following.py:next_or_reason": (
        review.next_or_reason,
        "viewer",
        dataset_arguments(count=1),
    ),
    "review/services/following.py:next_after_answer": (
        review.next_after_answer,
        "viewer",
        dataset_arguments(count=1),
    ),
    "review/services/leases.py:next_items": (review.next_items, "viewer", dataset_arguments()),
    "review/services/leases.py:held_item": (review.held_item, "viewer", image_arguments()),
    "review/services/gold.py:mark_gold": (review.mark_gold, "reviewer", image_arguments()),
    "review/services/gold.py:mark_known_as_gold": (
        review.mark_known_as_gold,
        "reviewer",
        dataset_arguments(),
    ),
    "review/services/gold.py:end_gold": (review.end_gold, "reviewer", dataset_arguments(gold_id=1)),
    "review/services/gold_selection.py:mark_selection_as_gold": (
        review.mark_selection_as_gold,
        "reviewer",
        dataset_arguments(image_ids=[1], expert=True),
    ),
    "review/services/gold_selection.py:end_gold_of_selection": (
        review.end_gold_of_selection,
        "reviewer",
        dataset_arguments(image_ids=[1]),
    ),
    "review/services/grid.py:next_page": (review.next_page, "viewer", dataset_arguments()),
    "review/services/grid_answers.py:answer_page": (
        review.answer_page,
        "viewer",
        dataset_arguments(page=KEY, tiles=[], milliseconds=9000),
    ),
    "review/services/grid.py:undo_page": (review.undo_page, "viewer", dataset_arguments(client_key=KEY)),
    "review/services/putting_back.py:return_to_queue": (review.return_to_queue, "reviewer", flag_arguments()),
    **ADJUDICATION,
    "review/services/references.py:add_reference_image": (
        review.add_reference_image,
        "reviewer",
        lambda w: image_arguments(label_id=w.label.pk, accepted=True)(w),
    ),
    "review/services/references.py:remove_reference_image": (
        review.remove_reference_image,
        "reviewer",
        dataset_arguments(reference_id=1),
    ),
    "review/services/resolving.py:answer_unresolved": (
        review.answer_unresolved,
        "reviewer",
        lambda w: flag_arguments(label_id=w.label.pk, client_key=KEY)(w),
    ),
    "review/services/resolving.py:send_to_reviewer": (
        review.send_to_reviewer,
        "reviewer",
        lambda w: flag_arguments(reviewer_id=w.reviewer.pk)(w),
    ),
    "review/services/resolving.py:set_aside": (review.set_aside, "reviewer", flag_arguments()),
    "review/services/why.py:open_panel": (review.open_panel, "stranger", image_arguments()),
    "review/services/why.py:panel_content": (review.panel_content, "stranger", panel_arguments()),
    "review/services/why.py:request_heat_map": (review.request_heat_map, "stranger", panel_arguments()),
    "review/services/undoing.py:undo": (review.undo, "viewer", dataset_arguments(client_key=KEY)),
    **CERTIFICATES,
    **IMAGES_AND_LABELS,
}
