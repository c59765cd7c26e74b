from django.apps import AppConfig


class ReviewConfig(AppConfig):
    name = "mekiki.review"
    label = "review"
    verbose_name = "Review"

    def ready(self) -> None:
        """Register counts for the archiving of labels, imported labels, sealed tables, and chores."""
        from mekiki.audit.sealed_tables import register_sealed_table
        from mekiki.config.lazy import by_name
        from mekiki.datasets import hooks
        from mekiki.jobs.chores import register_function
        from mekiki.labeling import effects
        from mekiki.review.exclusions import unqueued_ids
        from mekiki.review.hooks import register_settled_images
        from mekiki.review.label_counts import gold_by_label, waiting_by_label
        from mekiki.review.sealing import AUDIT_RETIREMENTS, DECISIONS
        from mekiki.review.selectors import answers_by_label, audited_by_label

        hooks.register_label_store(by_name("mekiki.review.services.imported.store_imported_labels"))
        hooks.register_import_end(by_name("mekiki.review.services.imported.record_imported_labels"))
        hooks.register_kept_images(by_name("mekiki.review.imported.images_in_use"))
        hooks.register_image_dependents(by_name("mekiki.review.imported.delete_reviews"))
        hooks.register_undo_hook(by_name("mekiki.review.imported.delete_names"))
        register_settled_images(unqueued_ids)
        effects.register_counter("answers", answers_by_label)
        effects.register_counter("audited", audited_by_label)
        effects.register_counter("gold", gold_by_label)
        effects.register_counter("waiting", waiting_by_label)
        effects.register_restore_hook(
            by_name("mekiki.review.services.confirmed.update_images_of_restored_label")
        )
        register_sealed_table(DECISIONS)
        register_sealed_table(AUDIT_RETIREMENTS)
        register_function("end holds that ran out", 30.0, "mekiki.review.services.release_expired_leases")
        register_function("delete old panels of reasons", 3600.0, "mekiki.review.services.delete_old_panels")
