"""URLs of pages about datasets outside of one dataset, under /site/."""

from django.urls import path

from mekiki.datasets import views

urlpatterns = [
    path("storage/", views.site_storage, name="site-storage"),
    path("archived/", views.archived, name="archived-datasets"),
    path("archived/<slug:slug>/restore/", views.restore, name="archived-restore"),
    path("archived/<slug:slug>/delete/", views.delete_archived, name="archived-delete"),
]
