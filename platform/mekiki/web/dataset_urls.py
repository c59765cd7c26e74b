"""Addresses of web inside a dataset: /d/<slug>/…."""

from django.urls import path

from mekiki.web import gallery, views

urlpatterns = [
    path("", views.overview, name="overview"),
    path("activity/", views.activity, name="activity"),
    path("jobs/<uuid:job_id>/cancel/", views.cancel_job, name="job-cancel"),
    path("images/", gallery.images, name="images"),
    path("images/<str:sha256>/", gallery.image, name="image"),
]
