"""URLs of heads and training, under /d/<slug>/models/."""

from django.urls import path

from mekiki.learning import encoder_views, views

urlpatterns = [
    path("", views.models, name="models"),
    path("encoder/", encoder_views.encoder, name="encoder"),
    path("encoder/change/", encoder_views.change, name="encoder-change"),
    path("encoder/<int:pk>/switch/", encoder_views.switch, name="encoder-switch"),
    path("encoder/<int:pk>/take-back/", encoder_views.take_back, name="encoder-take-back"),
    path("encoder/<int:pk>/cancel/", encoder_views.cancel, name="encoder-cancel"),
    path("encoder/embeddings/<int:encoder_id>/remove/", encoder_views.remove, name="encoder-remove"),
    path("train/", views.train, name="train"),
    path("runs/<int:pk>/log/", views.run_log, name="run-log"),
    path("schedule/", views.schedule, name="schedule"),
    path("schedule/next/", views.schedule_preview, name="schedule-preview"),
    path("<int:version>/use/", views.use, name="head-use"),
    path("<int:version>/verify/", views.verify, name="head-verify"),
]
