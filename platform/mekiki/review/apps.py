from django.apps import AppConfig


class ReviewConfig(AppConfig):
    name = "mekiki.review"
    label = "review"
    verbose_name = "Review"

    def ready(self) -> None:
        """Register counts for the archiving of labels, imported labels, sealed tables, and chores."""
        from mekiki.audit.sealed_tables import register_sealed_table
        from mekiki.datasets import hooks
        from mekiki.jobs.chores import PeriodicTask, register
        from mekiki.labeling import effects
        from mekiki.review.imported import delete_names, delete_reviews, images_in_use
        from mekiki.review.sealing import AUDIT_RETIREMENTS, DECISIONS
        from mekiki.review.selectors import answers_by_label, audited_by_label
        from mekiki.review.services import delete_old_panels, release_expired_leases
        from mekiki.review.services.confirmed import update_images_of_restored_label
        from mekiki.review.services.imported import record_imported_labels, store_imported_labels

        hooks.register_label_store(store_imported_labels)
        hooks.register_import_end(record_imported_labels)
        hooks.register_kept_images(images_in_use)
        hooks.register_image_dependents(delete_reviews)
        hooks.register_undo_hook(delete_names)
        effects.register_counter("answers", answers_by_label)
        effects.register_counter("audited", audited_by_label)
        effects.register_restore_hook(update_images_of_restored_label)
        register_sealed_table(DECISIONS)
        register_sealed_table(AUDIT_RETIREMENTS)
        register(PeriodicTask("end holds that ran out", 30.0, lambda: release_expired_leases))
        register(PeriodicTask("delete old panels of reasons", 3600.0, lambda: delete_old_panels))
