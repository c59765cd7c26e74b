"""Every address, by app. A dataset's pages live under /d/<slug>/."""

from django.urls import include, path

from mekiki.api.api import api

dataset_pages = [
    path("", include("mekiki.web.dataset_urls")),
    path("", include("mekiki.datasets.dataset_urls")),
    path("labels/", include("mekiki.labeling.urls")),
    path("review/", include("mekiki.review.urls")),
    path("models/", include("mekiki.learning.urls")),
    path("exports/", include("mekiki.exports.urls")),
]

urlpatterns = [
    path("", include("mekiki.web.urls")),
    path("accounts/", include("mekiki.accounts.urls")),
    path("datasets/", include("mekiki.datasets.urls")),
    path("d/<slug:slug>/", include(dataset_pages)),
    path("api/v1/", api.urls),
]
