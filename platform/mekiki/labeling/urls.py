"""URL patterns of labels and prompts, under /d/<slug>/labels/."""

from django.urls import path

from mekiki.labeling import views

urlpatterns = [
    path("", views.labels, name="labels"),
    path("labels.yaml", views.download, name="labels-download"),
    path("file/", views.read_file, name="labels-read-file"),
    path("<int:pk>/restore/", views.restore, name="label-restore"),
]
