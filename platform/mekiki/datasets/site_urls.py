"""URLs of dataset pages for the whole platform, under /site/."""

from django.urls import path

from mekiki.datasets import views

urlpatterns = [path("storage/", views.site_storage, name="site-storage")]
