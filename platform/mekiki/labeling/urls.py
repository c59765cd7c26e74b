"""URL patterns of labels and prompts, under /d/<slug>/labels/."""

from django.urls import path

from mekiki.labeling import views

urlpatterns = [
    path("", views.labels, name="labels"),
    path("<int:pk>/restore/", views.restore, name="label-restore"),
]
