from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from mekiki.accounts.models import User
    from mekiki.datasets.models import Dataset
    from mekiki.labeling.models import Label
    from mekiki.learning.models import Head
    from mekiki.review.models import QueueItem


class QualityConfig(AppConfig):
    name = "mekiki.quality"
    label = "quality"
    verbose_name = "Quality"

    def ready(self) -> None:
        """Register what follows an answer to an audit, and what suspends a certificate."""
        from mekiki.labeling.effects import register_counter, register_prompts_hook, register_schema_hook
        from mekiki.learning.hooks import register_promotion_hook
        from mekiki.quality import certificates, label_sources
        from mekiki.review.hooks import (
            register_answer_hook,
            register_label_sources,
            register_settled_images,
        )
        from mekiki.review.models import Stream

        def after_answer(item: "QueueItem", user: "User") -> None:
            from mekiki.quality import following

            following.after_answer(item, user)

        def after_promotion(head: "Head") -> None:
            from mekiki.quality import following

            following.after_promotion(head)

        def after_schema_change(label: "Label", change: str) -> None:
            from mekiki.quality import following

            following.after_schema_change(label, change)

        def after_new_prompts(dataset: "Dataset") -> None:
            from mekiki.quality import following

            following.after_new_prompts(dataset)

        def count_certificates(label_ids: list[int]) -> dict[int, int]:
            from mekiki.quality import following

            return following.certificates_by_label(label_ids)

        register_answer_hook(Stream.CERTIFY, after_answer)
        register_settled_images(certificates.settled_image_ids)
        register_label_sources(label_sources.label_source_choices, label_sources.images_with_label_set_by)
        register_promotion_hook(after_promotion)
        register_schema_hook(after_schema_change)
        register_prompts_hook(after_new_prompts)
        register_counter("certificates", count_certificates)
