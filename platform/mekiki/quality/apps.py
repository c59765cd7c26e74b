from django.apps import AppConfig


class QualityConfig(AppConfig):
    name = "mekiki.quality"
    label = "quality"
    verbose_name = "Quality"

    def ready(self) -> None:
        """Register what follows an answer to an audit, what suspends a certificate, and images that stay."""
        from mekiki.config.lazy import by_name
        from mekiki.datasets.hooks import register_kept_images
        from mekiki.labeling.effects import register_counter, register_prompts_hook, register_schema_hook
        from mekiki.learning.hooks import register_promotion_hook
        from mekiki.quality import certificates, label_sources
        from mekiki.review.hooks import (
            register_answer_hook,
            register_label_sources,
            register_settled_images,
        )
        from mekiki.review.models import Stream

        register_kept_images(by_name("mekiki.quality.selectors.images_of_evidence"))
        register_answer_hook(Stream.CERTIFY, by_name("mekiki.quality.following.after_answer"))
        register_settled_images(certificates.settled_image_ids)
        register_label_sources(label_sources.label_source_choices, label_sources.images_with_label_set_by)
        register_promotion_hook(by_name("mekiki.quality.following.after_promotion"))
        register_schema_hook(by_name("mekiki.quality.following.after_schema_change"))
        register_prompts_hook(by_name("mekiki.quality.following.after_new_prompts"))
        register_counter("certificates", by_name("mekiki.quality.following.certificates_by_label"))
