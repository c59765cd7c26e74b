"""URLs of the review, under /d/<slug>/review/."""

from django.urls import path

from mekiki.review import queue_views, views

urlpatterns = [
    path("", views.station, name="review"),
    path("grid/", views.grid, name="review-grid"),
    path("queue/", queue_views.queue, name="review-queue"),
    path("queue/act/", queue_views.act, name="review-queue-act"),
    path("queue/retire/", queue_views.retire, name="review-retire"),
]
