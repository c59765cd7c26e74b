"""Addresses of datasets."""

from django.urls import path

from mekiki.datasets import views

urlpatterns = [path("new/", views.create, name="dataset-create")]
