"""Addresses of datasets inside a dataset: /d/<slug>/…."""

from django.urls import path  # noqa: F401

urlpatterns: list = []
