from django.apps import AppConfig


class ReviewConfig(AppConfig):
    name = "mekiki.review"
    label = "review"
    verbose_name = "Review"

    def ready(self) -> None:
        """Register counts for the archiving of labels, the sealed tables, and the lease chore."""
        from mekiki.audit.sealed_tables import register_sealed_table
        from mekiki.jobs.chores import Chore, register
        from mekiki.labeling import effects
        from mekiki.review.sealing import AUDIT_RETIREMENTS, DECISIONS
        from mekiki.review.selectors import answers_by_label, audited_by_label
        from mekiki.review.services import release_expired_leases
        from mekiki.review.services.confirmed import derive_restored

        effects.register("answers", answers_by_label)
        effects.register("audited", audited_by_label)
        effects.register_after_restoring(derive_restored)
        register_sealed_table(DECISIONS)
        register_sealed_table(AUDIT_RETIREMENTS)
        register(Chore("end holds that ran out", 30.0, lambda: release_expired_leases))
