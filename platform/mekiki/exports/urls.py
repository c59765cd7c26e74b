"""URL patterns of exports, under /d/<slug>/exports/."""

from django.urls import path

from mekiki.exports import views

urlpatterns = [
    path("", views.exports, name="exports"),
    path("key.pem", views.key, name="label-set-key"),
    path("<int:version>/download/", views.download, name="label-set-download"),
    path("<int:version>/retry/", views.retry, name="label-set-retry"),
]
