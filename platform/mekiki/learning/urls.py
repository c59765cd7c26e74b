"""Addresses of heads and training: /d/<slug>/models/…."""

from django.urls import path

from mekiki.learning import views

urlpatterns = [
    path("", views.models, name="models"),
    path("train/", views.train, name="train"),
    path("schedule/", views.schedule, name="schedule"),
    path("<int:version>/", views.head, name="head"),
    path("<int:version>/use/", views.use, name="head-use"),
    path("<int:version>/training-labels.csv", views.training_labels, name="head-training-labels"),
]
