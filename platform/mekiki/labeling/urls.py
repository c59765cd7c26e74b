"""URL patterns of labels and prompts, under /d/<slug>/labels/."""

from django.urls import path

from mekiki.labeling import views
from mekiki.labeling.reorganising_views import reorganise

urlpatterns = [
    path("", views.labels, name="labels"),
    path("labels.yaml", views.download, name="labels-download"),
    path("reorganise/", reorganise, name="label-reorganise"),
    path("file/", views.read_file, name="labels-read-file"),
    path("<int:pk>/restore/", views.restore, name="label-restore"),
]
