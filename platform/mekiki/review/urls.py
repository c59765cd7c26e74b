"""URLs of the review, under /d/<slug>/review/."""

from django.urls import path

from mekiki.review import views

urlpatterns = [
    path("", views.station, name="review"),
    path("grid/", views.grid, name="review-grid"),
    path("queue/", views.queue, name="review-queue"),
    path("queue/<int:pk>/put-back/", views.put_back, name="review-put-back"),
    path("queue/retire/", views.retire, name="review-retire"),
]
