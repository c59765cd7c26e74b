"""Addresses of review, under /d/<slug>/review/."""

from django.urls import path

from mekiki.review import views

urlpatterns = [
    path("", views.station, name="review"),
    path("queue/", views.queue, name="review-queue"),
    path("queue/retire/", views.retire, name="review-retire"),
]
