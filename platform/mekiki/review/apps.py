from django.apps import AppConfig


class ReviewConfig(AppConfig):
    name = "mekiki.review"
    label = "review"
    verbose_name = "Review"
