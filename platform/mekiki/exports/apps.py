from django.apps import AppConfig


class ExportsConfig(AppConfig):
    name = "mekiki.exports"
    label = "exports"
    verbose_name = "Exports"

    def ready(self) -> None:
        """Register the images that label sets need."""
        from mekiki.datasets.hooks import register_kept_images
        from mekiki.exports.selectors import images_of_label_sets

        register_kept_images(images_of_label_sets)
