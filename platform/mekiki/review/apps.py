from collections.abc import Callable
from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from mekiki.labeling.models import Label


class ReviewConfig(AppConfig):
    name = "mekiki.review"
    label = "review"
    verbose_name = "Review"

    def ready(self) -> None:
        """Register counts for the archiving of labels, the sealed tables, and the lease chore."""
        from mekiki.audit.sealed_tables import register_sealed_table
        from mekiki.jobs.chores import PeriodicTask, register
        from mekiki.labeling import effects
        from mekiki.review.label_counts import gold_by_label, waiting_by_label
        from mekiki.review.sealing import AUDIT_RETIREMENTS, DECISIONS
        from mekiki.review.selectors import answers_by_label, audited_by_label

        def after_restoring(label: "Label") -> None:
            from mekiki.review.services.confirmed import update_images_of_restored_label

            update_images_of_restored_label(label)

        def prepare_leases() -> Callable[[], object]:
            from mekiki.review.services import release_expired_leases

            return release_expired_leases

        def prepare_panels() -> Callable[[], object]:
            from mekiki.review.services import delete_old_panels

            return delete_old_panels

        effects.register_counter("answers", answers_by_label)
        effects.register_counter("audited", audited_by_label)
        effects.register_counter("gold", gold_by_label)
        effects.register_counter("waiting", waiting_by_label)
        effects.register_restore_hook(after_restoring)
        register_sealed_table(DECISIONS)
        register_sealed_table(AUDIT_RETIREMENTS)
        register(PeriodicTask("end holds that ran out", 30.0, prepare_leases))
        register(PeriodicTask("delete old panels of reasons", 3600.0, prepare_panels))
